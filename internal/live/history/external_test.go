package history

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/headrace/headrace/internal/engine"
)

// TestTwoNodes has two nodes publish to one channel of an external engine: offsets are dense over both.
func TestTwoNodes(t *testing.T) {
	srv, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true})
	must(t, err)
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	if !srv.ReadyForConnections(10 * time.Second) {
		t.Fatal("server is not ready")
	}
	var nodes [2]*rig
	for i := range nodes {
		nodes[i] = open(t, openEngine(t, engine.Config{URL: srv.ClientURL(), Node: fmt.Sprint("n", i)}), Options{Size: 1000, Age: time.Hour})
	}
	var mu sync.Mutex
	acked := map[uint64]string{}
	var all sync.WaitGroup
	for i, r := range nodes {
		for p := range 4 {
			all.Go(func() {
				for n := range 25 {
					body := fmt.Sprint(i, p, n)
					at, _, err := r.log.Publish(context.Background(), Publish{Channel: "a", Publication: text(body)})
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					acked[at.Offset] = body
					mu.Unlock()
				}
			})
		}
	}
	all.Wait()
	if len(acked) != 200 {
		t.Fatal(len(acked))
	}
	nodes[0].publishMany("b", 3)
	must(t, nodes[1].log.Remove(t.Context(), "b"))
	if at := nodes[0].publish("b", "x"); at.Offset != 1 || at.Epoch != nodes[1].top("b").Epoch {
		t.Fatal(at, nodes[1].top("b"))
	}
	for _, r := range nodes {
		r.publish("a", "last of a node")
		r.evictAll()
		found, _ := r.read("a", Filter{Limit: All})
		want(t, found, from(1, uint64(len(found)))...)
		for offset, body := range acked {
			if string(found[offset-1].Data) != body {
				t.Fatal(offset)
			}
		}
	}
}
