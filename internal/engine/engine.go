// Package engine holds every durable fact: streams on a NATS JetStream that runs in this process or elsewhere, the commit
// clock that makes acknowledged messages durable together, and blobs. Planes use the types of nats.go directly.
package engine

import (
	"context"
	"log/slog"
	"os"
	"sync"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/problem"
)

// Engine is an open engine. Its methods may be called by many goroutines.
type Engine struct {
	cfg      Config
	log      *slog.Logger
	folder   *folder
	guard    *guard
	counters counters

	srv      *server.Server // embedded only
	srvLog   *serverLog
	clock    *clock // embedded with Fsync only
	external *external
	blobs    *blob.Store

	memory sync.Map // names of streams in memory, which a commit need not sync
	quit   chan struct{}
	tasks  sync.WaitGroup
	stop   func() error
}

// Open opens the data folder and starts the embedded server, or connects to the external one. Problems: HR5003 (folder
// in use), HR5004 (folder of a newer version), HR5005 (did not start), HR9003 (configuration).
func Open(ctx context.Context, cfg Config, log *slog.Logger) (*Engine, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	log = discard(log)
	folder, err := openFolder(cfg.Data)
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, log: log, folder: folder, quit: make(chan struct{})}
	e.stop = sync.OnceValue(e.close)
	e.guard = newGuard(folder.path, cfg.MinFree, log)
	e.guard.look()
	if err := e.openBlobs(); err != nil {
		folder.close()
		return nil, err
	}
	if cfg.URL == "" {
		err = e.openEmbedded(ctx)
	} else {
		e.external, err = openExternal(ctx, cfg, log)
	}
	if err != nil {
		folder.close()
		return nil, err
	}
	e.tasks.Go(func() { e.guard.run(e.quit) })
	return e, nil
}

func (e *Engine) openEmbedded(ctx context.Context) (err error) {
	e.srvLog = newServerLog(e.log)
	if e.srv, err = startEmbedded(ctx, e.cfg, e.folder.path, e.srvLog); err != nil {
		return err
	}
	if e.cfg.Durability == Fsync {
		root := e.folder.join(server.JetStreamStoreDir, server.DEFAULT_GLOBAL_ACCOUNT, "streams")
		e.clock = newClock(root, e.cfg.sync, e.log, &e.counters)
		go e.clock.run()
	}
	return nil
}

// Node is the name of this node.
func (e *Engine) Node() string { return e.cfg.Node }

// Data is the absolute path of the data folder. Planes keep their projections in folders of their own below it.
func (e *Engine) Data() string { return e.folder.path }

// Connect makes a connection named after the plane that uses it: in this process for the embedded server, otherwise over
// TCP, coming back for ever after a loss. While it is lost, a publish fails at once instead of filling a buffer.
// The connection is asynchronous at its best: keep up to about 1,000 publishes in flight per stream.
func (e *Engine) Connect(name string) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name("headrace-" + e.cfg.Node + "-" + name),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			e.log.Warn("engine connection", "plane", name, "error", err)
		}),
	}
	if e.srv != nil {
		conn, err := nats.Connect("", append(opts, nats.InProcessServer(e.srv), nats.MaxReconnects(0))...)
		if err != nil {
			return nil, problem.New("HR5005", "connection to the embedded engine: %w", err).At(name)
		}
		return conn, nil
	}
	return e.external.connect(name, opts)
}

// Durability is what an acknowledgement after Commit means: fsync, written, replicated or external.
func (e *Engine) Durability() string {
	if e.external != nil {
		return string(e.external.durability)
	}
	return string(e.cfg.Durability)
}

// Commit returns when every message of the stream whose acknowledgement was received before the call is as durable as
// Durability says. Many callers share one sync. Errors: HR5001 when the disk failed (for ever) or the stream has no files;
// ctx.Err() when ctx ends first, and then it is not known.
func (e *Engine) Commit(ctx context.Context, stream string) error {
	if e.clock == nil {
		return nil
	}
	if _, ok := e.memory.Load(stream); ok {
		return nil
	}
	return e.clock.commit(ctx, stream)
}

// Admit is nil when new work may be taken: HR5001 after a failed sync, HR5002 while the disk is nearly full. It reads two
// words of memory.
func (e *Engine) Admit() error {
	if e.clock != nil {
		if failure := e.clock.failed.Load(); failure != nil {
			return failure
		}
	}
	if closed := e.guard.closed.Load(); closed != nil {
		return closed
	}
	return nil
}

// Stop ends the engine: connections end, the server writes its last, all is synced. It is idempotent, waits no longer than
// ctx for it, and returns HR5001 when something could not be made durable.
func (e *Engine) Stop(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- e.stop() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Engine) close() (err error) {
	close(e.quit)
	e.tasks.Wait()
	if e.clock != nil {
		e.clock.stop()
	}
	if e.srv != nil {
		e.srv.Shutdown()
		e.srv.WaitForShutdown()
	}
	if e.clock != nil {
		err = e.clock.settle()
	}
	if e.external != nil {
		e.external.close()
	}
	e.folder.close()
	return err
}

// Blobs is the store of contents too large for a message. It is in the data folder of this node, with an external engine too.
func (e *Engine) Blobs() *blob.Store { return e.blobs }

func (e *Engine) openBlobs() (err error) {
	opts := blob.Options{Admit: e.Admit}
	if e.cfg.Durability == Fsync {
		opts.Sync = func(file *os.File) error { return e.cfg.sync(file, contentOnly) }
	}
	e.blobs, err = blob.Open(e.folder.join("blobs"), opts)
	return err
}
