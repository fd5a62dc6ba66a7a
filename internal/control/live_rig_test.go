package control_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/control"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/observe"
)

const secret = "secret of the tests"

// liveConfig has channels without namespace, chat with a history and presence, small with narrow limits, and shut.
func liveConfig() *config.Live {
	l := config.DefaultLive()
	l.Token.Secret = secret
	l.ShutdownWindow = 0
	l.Channels = config.DefaultNamespace()
	l.Channels.Subscribe = "true"
	chat := config.DefaultNamespace()
	chat.Subscribe, chat.Presence, chat.JoinLeave = "true", true, true
	chat.History.Size, chat.History.Age = 100, time.Hour
	small := config.DefaultNamespace()
	small.MaxPublication, small.MaxSubscribers = 10, 1
	l.Namespaces = map[string]*config.Namespace{"chat": chat, "small": small}
	return l
}

// functionsOnly lets RPC call functions. What clients may do is left to the rules.
type functionsOnly struct{ planes *exchange.Planes }

func (functionsOnly) Handles(string, string) bool                      { return false }
func (functionsOnly) Ask(context.Context, string, any) ([]byte, error) { panic("nothing is handled") }
func (f functionsOnly) Call(ctx context.Context, name string, args []byte, caller identity.Caller) ([]byte, error) {
	fn, err := f.planes.Functions.Get(name)
	if err != nil {
		return nil, err
	}
	if err := fn.Validate(args); err != nil {
		return nil, err
	}
	return f.planes.Run(ctx, fn, args, caller, slog.Default())
}

// openLive starts the live plane of the rig behind a door of its own.
func (r *rig) openLive(ctx context.Context, log *slog.Logger) {
	var err error
	r.live, err = live.Open(ctx, live.Deps{Config: r.config.Live, Engine: r.engine, Log: log,
		Authority: functionsOnly{&exchange.Planes{Functions: r.fns, Engine: r.engine, Config: r.config}}})
	must(r.t, err)
	r.door = exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second, Log: log,
		Admit: func(*exchange.Request) error { return nil }, Serve: r.live.Serve})
	must(r.t, r.door.Start())
}

// stopLive ends it.
func (r *rig) stopLive(ctx context.Context) error {
	if r.live == nil {
		return nil
	}
	if err := r.live.Stop(ctx); err != nil {
		return err
	}
	return r.door.Stop(ctx)
}

// newLiveRig is a rig without workers.
func newLiveRig(t testing.TB, change ...func(*config.Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), config: config.Default()}
	r.config.Engine.Data = filepath.Join(r.dir, "data")
	r.config.Admin.Listen = "127.0.0.1:0"
	r.config.Server.JSONDepth = 16
	r.config.Live = liveConfig()
	for _, c := range change {
		c(r.config)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	var err error
	r.engine, err = engine.Open(ctx, engine.Config{Data: r.config.Engine.Data, Durability: engine.Durability(r.config.Engine.Durability), MinFree: -1}, log)
	must(t, err)
	r.fns = functions.NewRegistry()
	registry := prometheus.NewRegistry()
	if r.config.Live != nil {
		r.openLive(ctx, log)
		registry.MustRegister(r.live)
	}
	r.control = control.New(control.Deps{Config: r.config, Engine: r.engine, Functions: r.fns, Live: r.live, Metrics: registry, Health: observe.NewHealth(log), Log: log})
	must(t, r.control.Start(ctx))
	r.url = "http://" + r.control.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		http.DefaultClient.CloseIdleConnections()
		for _, stop := range []func(context.Context) error{r.control.Stop, r.stopLive, r.engine.Stop} {
			if err := stop(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

// connect is a client of the live plane that is connected as a user.
func (r *rig) connect(user string) *client {
	r.t.Helper()
	token, err := identity.Sign([]byte(secret), map[string]any{"sub": user, "info": map[string]string{"name": user}})
	must(r.t, err)
	c := &client{t: r.t, Client: centrifuge.NewJsonClient("ws://"+r.door.Addr().String()+"/live/websocket", centrifuge.Config{Token: token}),
		connected: make(chan string, 16), ended: make(chan centrifuge.DisconnectedEvent, 16), told: make(chan string, 64)}
	c.OnConnected(func(e centrifuge.ConnectedEvent) { c.connected <- e.ClientID })
	c.OnDisconnected(func(e centrifuge.DisconnectedEvent) { c.ended <- e })
	c.OnPublication(func(e centrifuge.ServerPublicationEvent) { c.told <- e.Channel + " " + string(e.Data) })
	c.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) { c.told <- "subscribed " + e.Channel + " " + string(e.Data) })
	c.OnUnsubscribed(func(e centrifuge.ServerUnsubscribedEvent) { c.told <- "unsubscribed " + e.Channel })
	must(r.t, c.Connect())
	r.t.Cleanup(c.Close)
	c.id = next(r.t, c.connected)
	return c
}

type client struct {
	*centrifuge.Client
	t         testing.TB
	id        string
	connected chan string
	ended     chan centrifuge.DisconnectedEvent
	told      chan string // what comes in subscriptions of the server
}

// subscribe returns what is published in a channel from now on.
func (c *client) subscribe(channel string) chan string {
	c.t.Helper()
	sub, err := c.NewSubscription(channel)
	must(c.t, err)
	data, ready := make(chan string, 64), make(chan struct{}, 1)
	sub.OnPublication(func(e centrifuge.PublicationEvent) { data <- string(e.Data) })
	sub.OnSubscribed(func(centrifuge.SubscribedEvent) { ready <- struct{}{} })
	must(c.t, sub.Subscribe())
	next(c.t, ready)
	return data
}

// next is what comes from a channel.
func next[T any](t testing.TB, from chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
	}
	return v
}
