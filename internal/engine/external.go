package engine

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/headrace/headrace/internal/problem"
)

// external is a NATS server or cluster that somebody else runs.
type external struct {
	cfg        Config
	probe      *nats.Conn // tells whether the server is there
	durability Durability
}

// probeTimeout bounds the question for the server's settings; who may not ask gets no answer.
const probeTimeout = 500 * time.Millisecond

// openExternal connects once, so that a wrong address or password is told at the start; HR5005.
func openExternal(ctx context.Context, cfg Config, log *slog.Logger) (*external, error) {
	opts := []nats.Option{
		nats.Name("headrace-" + cfg.Node + "-engine"), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(conn *nats.Conn, err error) {
			if !conn.IsClosed() {
				log.Warn("engine is lost; connecting again", "error", err)
			}
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) { log.Info("engine is back", "server", conn.ConnectedUrlRedacted()) }),
	}
	if until, ok := ctx.Deadline(); ok {
		opts = append(opts, nats.Timeout(time.Until(until)))
	}
	conn, err := nats.Connect(cfg.URL, opts...)
	if err != nil {
		return nil, problem.New("HR5005", "engine cannot be reached: %w", err).At("engine.url").
			Hinting("check the address and that the NATS server runs with JetStream")
	}
	ext := &external{cfg: cfg, probe: conn}
	if err := ext.checkJetStream(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	ext.durability = ext.level()
	return ext, nil
}

func (x *external) checkJetStream(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if _, err := x.probe.RequestWithContext(ctx, "$JS.API.INFO", nil); err != nil {
		return problem.New("HR5005", "engine has no JetStream: %w", err).At("engine.url").
			Hinting("switch JetStream on in the NATS server and for this account")
	}
	return nil
}

// level is what is known: fsync when all servers that answer sync always; replicated when streams have several replicas.
func (x *external) level() Durability {
	if x.syncsAlways() {
		return Fsync
	}
	if x.cfg.Replicas > 1 {
		return Replicated
	}
	return External
}

// syncsAlways asks every server for its settings. Only the system account may ask, so the usual answer is silence.
func (x *external) syncsAlways() bool {
	inbox, err := x.probe.SubscribeSync(x.probe.NewInbox())
	if err != nil {
		return false
	}
	defer func() { _ = inbox.Unsubscribe() }()
	if err := x.probe.PublishRequest("$SYS.REQ.SERVER.PING.JSZ", inbox.Subject, nil); err != nil {
		return false
	}
	all := false
	for until := time.Now().Add(probeTimeout); ; {
		msg, err := inbox.NextMsg(time.Until(until))
		if err != nil {
			return all
		}
		var answer struct {
			Data struct {
				Disabled bool `json:"disabled"`
				Config   struct {
					SyncAlways bool `json:"sync_always"`
				} `json:"config"`
			} `json:"data"`
		}
		if json.Unmarshal(msg.Data, &answer) != nil || answer.Data.Disabled {
			continue
		}
		if !answer.Data.Config.SyncAlways {
			return false
		}
		all = true
	}
}

// connect returns at once even while the server is away: the connection is made as soon as it is back.
func (x *external) connect(name string, opts []nats.Option) (*nats.Conn, error) {
	conn, err := nats.Connect(x.cfg.URL, append(opts, nats.RetryOnFailedConnect(true))...)
	if err != nil {
		return nil, problem.New("HR5005", "connection to the engine: %w", err).At(name)
	}
	return conn, nil
}

func (x *external) close() { x.probe.Close() }
