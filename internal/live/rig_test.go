package live

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
)

const wait = 20 * time.Second // longest that anything may take

var secret = []byte("secret of the tests")

// rig is a plane behind a real door.
type rig struct {
	testing.TB
	*Live
	addr   string
	config *config.Live
}

func newConfig() *config.Live {
	c := config.DefaultLive()
	c.Anonymous = true
	c.Token.Secret = string(secret)
	c.CommandsPerSecond = 0
	c.ShutdownWindow = 0
	open := func(change func(n *config.Namespace)) *config.Namespace {
		n := config.DefaultNamespace()
		n.Subscribe, n.Publish, n.SeePresence, n.SeeHistory = "true", "true", "true", "true"
		n.Presence = true
		change(n)
		return n
	}
	c.Channels = open(func(*config.Namespace) {})
	c.Namespaces["chat"] = open(func(n *config.Namespace) {
		n.History.Size, n.History.Age = 1000, time.Hour
		n.JoinLeave, n.Delta = true, true
	})
	c.Namespaces["cache"] = open(func(n *config.Namespace) {
		n.History.Size, n.History.Age = 10, time.Hour
		n.Recovery = "cache"
	})
	c.Namespaces["shut"] = config.DefaultNamespace()
	return c
}

// newRig opens a plane; change may alter the options, deps the parts.
func newRig(t testing.TB, change func(*config.Live), deps func(*Deps)) *rig {
	t.Helper()
	level := slog.LevelError
	if os.Getenv("LIVE_LOG") != "" {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	c := newConfig()
	if change != nil {
		change(c)
	}
	d := Deps{Config: c, Log: log}
	if deps != nil {
		deps(&d)
	}
	durable := false
	for _, n := range c.Namespaces {
		durable = durable || n.Durable()
	}
	if durable && d.Engine == nil {
		e, err := engine.Open(t.Context(), engine.Config{Data: t.TempDir(), Durability: engine.Fsync, MinFree: -1}, log)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Stop(context.Background()) })
		d.Engine = e
	}
	l, err := Open(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: wait, IdleTimeout: wait, Log: log,
		Admit: introduce, Serve: l.Serve, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if err := door.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = l.Stop(ctx)
		_ = door.Stop(ctx)
	})
	return &rig{TB: t, Live: l, addr: door.Addr().String(), config: c}
}

// introduce says who asks, as the policies of a gateway do: the headers X-Claims and X-User tell.
func introduce(r *exchange.Request) error {
	user, claims := r.Request.Header.Peek("X-User"), r.Request.Header.Peek("X-Claims")
	if len(user)+len(claims) > 0 {
		r.Identity = &identity.Identity{Method: "jwt", Subject: string(user), Claims: append([]byte(nil), claims...)}
	}
	return nil
}

func (r *rig) url(path string) string { return "ws://" + r.addr + "/live" + path }

func token(t testing.TB, claims map[string]any) string {
	t.Helper()
	text, err := identity.Sign(secret, claims)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// client connects a published client; protobuf says how.
func (r *rig) client(c centrifuge.Config, protobuf bool) *centrifuge.Client {
	r.Helper()
	build := centrifuge.NewJsonClient
	if protobuf {
		build = centrifuge.NewProtobufClient
	}
	client := build(r.url("/websocket"), c)
	r.Cleanup(client.Close)
	connected := make(chan struct{}, 1)
	client.OnConnected(func(centrifuge.ConnectedEvent) {
		select {
		case connected <- struct{}{}:
		default:
		}
	})
	if err := client.Connect(); err != nil {
		r.Fatal(err)
	}
	recv(r, connected, "connected")
	return client
}

// recv takes a value that must come.
func recv[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(wait):
		t.Fatalf("%s: nothing came", what)
	}
	panic("unreachable")
}

// eventually polls until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(wait); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, wait)
		}
	}
}

// raw is a plain connection to the door.
func (r *rig) raw() net.Conn {
	r.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(wait))
	return c
}

func formats(t *testing.T, f func(t *testing.T, protobuf bool)) {
	for _, name := range strings.Fields("json protobuf") {
		t.Run(name, func(t *testing.T) { f(t, name == "protobuf") })
	}
}
