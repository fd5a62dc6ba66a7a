package engine

import (
	"context"
	"math"
	"runtime/debug"
	"time"
	_ "time/tzdata" // schedules name zones; small images have no zone files

	"github.com/nats-io/nats-server/v2/server"
	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/problem"
)

const (
	startTimeout = 10 * time.Second // after Start returned, so recovery of the streams is behind it
	// The clock syncs what is acknowledged. The server's own round is left for what it does besides: it compacts
	// blocks and closes idle files.
	syncInterval = 5 * time.Minute
)

// startEmbedded runs the server in this process, without a listener, on the folder path.
func startEmbedded(ctx context.Context, cfg Config, path string, log *serverLog) (*server.Server, error) {
	memory := memoryLimit()
	opts := &server.Options{
		ServerName:             "headrace-" + cfg.Node,
		DontListen:             true,
		NoSigs:                 true,
		NoLog:                  true,
		DisableJetStreamBanner: true,
		JetStream:              true,
		StoreDir:               path,
		SyncInterval:           syncInterval,
		MaxPayload:             cfg.MaxPayload,
		MaxPending:             64 << 20,
		JetStreamMaxMemory:     or(cfg.MaxMemory, min(memory/8, 256<<20)),
		JetStreamMaxStore:      or(cfg.MaxStore, diskSize(path)-max(cfg.MinFree, 0)),
		StreamMaxBufferedSize:  min(max(memory/16, 16<<20), 128<<20),
		StreamMaxBufferedMsgs:  20_000,
	}
	srv, err := server.NewServer(opts)
	if err != nil {
		return nil, problem.New("HR5005", "embedded engine: %w", err).At(path)
	}
	srv.SetLoggerV2(log, false, false, false)
	started := make(chan struct{})
	go func() { srv.Start(); close(started) }()
	select {
	case <-started:
	case <-ctx.Done():
		srv.Shutdown()
		return nil, problem.New("HR5005", "embedded engine: %w", ctx.Err()).At(path)
	}
	if reason := log.fatal.Load(); reason != nil {
		srv.Shutdown()
		return nil, problem.New("HR5005", "embedded engine: %s", *reason).At(path)
	}
	if !srv.ReadyForConnections(startTimeout) {
		srv.Shutdown()
		return nil, problem.New("HR5005", "embedded engine is not ready after %s", startTimeout).At(path)
	}
	return srv, nil
}

// memoryLimit is GOMEMLIMIT in bytes, or 2 GiB when there is none.
func memoryLimit() int64 {
	if limit := debug.SetMemoryLimit(-1); limit != math.MaxInt64 {
		return limit
	}
	return 2 << 30
}

// diskSize is the size in bytes of the file system of path.
func diskSize(path string) int64 {
	var fs unix.Statfs_t
	if err := unix.Statfs(path, &fs); err != nil {
		return server.JetStreamMaxStoreDefault
	}
	return int64(fs.Blocks) * int64(fs.Bsize)
}

func or(value, otherwise int64) int64 {
	if value != 0 {
		return value
	}
	return otherwise
}
