package live

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
	"github.com/nats-io/nats-server/v2/server"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
)

// nodes are two planes of which each has its own connection to one engine, so that none delivers what the other publishes.
func nodes(t *testing.T, change func(*config.Live)) (here, there *rig) {
	t.Helper()
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(wait) {
		t.Fatal("server is not ready")
	}
	var all [2]*rig
	for i := range all {
		e, err := engine.Open(t.Context(), engine.Config{URL: srv.ClientURL(), Node: fmt.Sprint("n", i), Data: t.TempDir(), MinFree: -1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = e.Stop(context.Background()) })
		all[i] = newRig(t, change, func(d *Deps) { d.Engine = e })
	}
	return all[0], all[1]
}

// A publication that is not delivered is found by the position check even if nothing follows, and the client recovers it.
func TestPositionCheck(t *testing.T) {
	for _, every := range []time.Duration{time.Second, 0} {
		t.Run(every.String(), func(t *testing.T) {
			here, there := nodes(t, func(c *config.Live) { c.PositionCheck = every })
			a := here.client(centrifuge.Config{}, false)
			sub, got := here.subscribed(a, "chat:a", centrifuge.SubscriptionConfig{})
			_, cached := here.subscribed(a, "cache:a", centrifuge.SubscriptionConfig{Recoverable: true})
			for _, channel := range []string{"chat:a", "cache:a"} {
				if _, err := here.Publish(t.Context(), channel, []byte(`{"n":1}`), PublishOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			recv(t, got, "publication of this node")
			recv(t, cached, "publication of this node")
			again := make(chan centrifuge.SubscribedEvent, 10)
			sub.OnSubscribed(func(e centrifuge.SubscribedEvent) { again <- e })
			for n := 2; n < 5; n++ {
				for _, channel := range []string{"chat:a", "cache:a"} {
					if _, err := there.Publish(t.Context(), channel, fmt.Appendf(nil, `{"n":%d}`, n), PublishOptions{}); err != nil {
						t.Fatal(err)
					}
				}
			}
			if every == 0 {
				select {
				case p := <-got:
					t.Fatalf("%s came without a check", p.Data)
				case <-time.After(3 * time.Second):
				}
				return
			}
			for n := 2; n < 5; n++ {
				if p := recv(t, got, "what another node published"); string(p.Data) != fmt.Sprintf(`{"n":%d}`, n) || p.Offset != uint64(n) {
					t.Fatalf("%s at %d", p.Data, p.Offset)
				}
			}
			if e := recv(t, again, "subscribed again"); !e.Recovered || !e.WasRecovering {
				t.Errorf("%+v", e)
			}
			if p := recv(t, cached, "the latest of another node"); string(p.Data) != `{"n":4}` {
				t.Errorf("%s of a cache", p.Data)
			}
			if n := here.metrics.gaps.Load(); n != 2 {
				t.Errorf("%d gaps", n)
			}
			// Its history is removed there: the client begins anew here.
			if err := there.RemoveHistory(t.Context(), "chat:a"); err != nil {
				t.Fatal(err)
			}
			if e := recv(t, again, "subscribed anew"); e.Recovered {
				t.Errorf("%+v", e)
			}
			if _, err := here.Publish(t.Context(), "chat:a", []byte(`{"n":9}`), PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			if p := recv(t, got, "publication of the new epoch"); p.Offset != 1 {
				t.Errorf("offset %d", p.Offset)
			}
		})
	}
}

// Clients that have everything are left alone, however busy their channels are, and also those that are only slow.
func TestPositionCheckLeavesAlone(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.PositionCheck = time.Nanosecond }, nil)
	p := r.peer("/websocket")
	p.enter("")
	p.ask(`{"subscribe":{"channel":"chat:a"}}`)
	p.ask(`{"subscribe":{"channel":"chat:quiet"}}`)
	end := time.Now().Add(3 * checkGrace)
	n := 0
	for ; time.Now().Before(end); n++ {
		if _, err := r.Publish(t.Context(), "chat:a", []byte(`{"n":1}`), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		if push := p.push(); push.Pub == nil || push.Pub.Offset != uint64(n+1) {
			t.Fatalf("%v", push)
		}
	}
	if gaps := r.metrics.gaps.Load(); gaps != 0 || n == 0 {
		t.Errorf("%d gaps in %d publications", gaps, n)
	}
}
