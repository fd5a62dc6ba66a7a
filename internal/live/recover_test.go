package live

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/centrifugal/protocol"
)

// number is that of a publication of the form {"n":1}.
func number(t testing.TB, p *protocol.Publication) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(string(p.Data), `{"n":`), "}"))
	if err != nil {
		t.Fatalf("publication %s", p.Data)
	}
	return n
}

// Clients that come and go while others publish get each publication once and in order.
func TestRecoveryUnderLoad(t *testing.T) {
	const total, clients, publishers = 3000, 12, 60
	const end = total / publishers * publishers
	r := newRig(t, nil, nil)
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for range total / publishers {
				if _, err := r.Publish(t.Context(), "chat:load", []byte(`{"n":0}`), PublishOptions{}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range clients {
		all.Go(func() {
			epoch, offset := "", uint64(0)
			take := func(p *protocol.Publication) {
				if p.Offset != offset+1 {
					t.Errorf("client %d got %d after %d", i, p.Offset, offset)
				}
				offset = p.Offset
			}
			for round := 0; offset < end && !t.Failed(); round++ {
				p := r.peer("/websocket")
				p.enter("")
				p.id++
				p.send(fmt.Sprintf(`{"id":%d,"subscribe":{"channel":"chat:load","recover":%t,"offset":%d,"epoch":%q}}`, p.id, epoch != "", offset, epoch))
				reply := p.must()
				if reply.Subscribe == nil || epoch != "" && !reply.Subscribe.Recovered {
					t.Errorf("subscribe at %d: %v", offset, reply)
					return
				}
				if epoch == "" {
					offset = reply.Subscribe.Offset
				}
				epoch = reply.Subscribe.Epoch
				for _, pub := range reply.Subscribe.Publications {
					take(pub)
				}
				for range 20 + 13*i + round {
					if offset >= end {
						break
					}
					reply, err := p.next()
					if err != nil {
						t.Error(err)
						return
					}
					if reply.Push != nil && reply.Push.Pub != nil {
						take(reply.Push.Pub)
					}
				}
				_ = p.conn.Close()
			}
		})
	}
	all.Wait()
	if r.metrics.recoveries.Load() == 0 {
		t.Error("nothing was recovered")
	}
}

// A reconnect with more missed than the ring in memory holds reads the rest from the stream.
func TestRecoverFromHistory(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.peer("/websocket")
	p.enter("")
	first := p.ask(`{"subscribe":{"channel":"chat:a"}}`).Subscribe
	if first == nil || !first.Recoverable || !first.Positioned || first.Epoch == "" || first.Offset != 0 {
		t.Fatalf("subscribe: %v", first)
	}
	_ = p.conn.Close()
	var all sync.WaitGroup
	for i := range 1200 {
		all.Go(func() {
			if _, err := r.Publish(t.Context(), "chat:a", fmt.Appendf(nil, `{"n":%d}`, i), PublishOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	p = r.peer("/websocket")
	p.enter("")
	if got := p.ask(fmt.Sprintf(`{"subscribe":{"channel":"chat:a","recover":true,"offset":300,"epoch":%q}}`, first.Epoch)).Subscribe; !got.Recovered || !got.WasRecovering || len(got.Publications) != 900 ||
		got.Publications[0].Offset != 301 || got.Offset != 300 {
		t.Fatalf("recovered %t %d", got.Recovered, len(got.Publications))
	}
	p.ask(`{"unsubscribe":{"channel":"chat:a"}}`)
	if got := p.ask(fmt.Sprintf(`{"subscribe":{"channel":"chat:a","recover":true,"offset":100,"epoch":%q}}`, first.Epoch)).Subscribe; got.Recovered || !got.WasRecovering || len(got.Publications) != 0 || got.Offset != 1200 {
		t.Fatalf("what is gone was recovered: %v", got)
	}
	p.ask(`{"unsubscribe":{"channel":"chat:a"}}`)
	if c := code(p.ask(`{"subscribe":{"channel":"chat:a","recover":true,"offset":100,"epoch":"other","flag":2}}`)); c != 112 {
		t.Fatalf("code %d", c)
	}
	if got := p.ask(`{"history":{"channel":"chat:a","limit":2,"reverse":true}}`).History; len(got.Publications) != 2 || got.Publications[0].Offset != 1200 || got.Offset != 1200 {
		t.Fatalf("history: %v", got)
	}
	if got := p.ask(fmt.Sprintf(`{"history":{"channel":"chat:a","limit":3,"since":{"offset":500,"epoch":%q}}}`, first.Epoch)).History; len(got.Publications) != 3 || got.Publications[0].Offset != 501 {
		t.Fatalf("history: %v", got)
	}
	if c := code(p.ask(`{"history":{"channel":"chat:a","limit":3,"since":{"offset":500,"epoch":"other"}}}`)); c != 112 {
		t.Fatalf("code %d", c)
	}
}

func TestCacheRecovery(t *testing.T) {
	r := newRig(t, nil, nil)
	for i := range 3 {
		if _, err := r.Publish(t.Context(), "cache:a", fmt.Appendf(nil, `{"n":%d}`, i), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	p := r.peer("/websocket")
	p.enter("")
	got := p.ask(`{"subscribe":{"channel":"cache:a","recover":true}}`).Subscribe
	if !got.Recovered || len(got.Publications) != 1 || number(t, got.Publications[0]) != 2 {
		t.Fatalf("cache: %v", got)
	}
	p.ask(`{"unsubscribe":{"channel":"cache:a"}}`)
	if got := p.ask(fmt.Sprintf(`{"subscribe":{"channel":"cache:a","recover":true,"offset":3,"epoch":%q}}`, got.Epoch)).Subscribe; !got.Recovered || len(got.Publications) != 0 {
		t.Fatalf("cache: %v", got)
	}
}

// After its history was removed, a channel's clients subscribe again and go on.
func TestRemovedHistory(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.peer("/websocket")
	p.enter("")
	p.ask(`{"subscribe":{"channel":"chat:a"}}`)
	if _, err := r.Publish(t.Context(), "chat:a", []byte(`{"n":1}`), PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	p.push()
	if err := r.RemoveHistory(t.Context(), "chat:a"); err != nil {
		t.Fatal(err)
	}
	if push := p.push(); push.Unsubscribe == nil || push.Unsubscribe.Code != 2500 || push.Channel != "chat:a" {
		t.Fatalf("push: %v", push)
	}
	p.ask(`{"subscribe":{"channel":"chat:a"}}`)
	if _, err := r.Publish(t.Context(), "chat:a", []byte(`{"n":2}`), PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if push := p.push(); push.Pub == nil || push.Pub.Offset != 1 {
		t.Fatalf("push: %v", push)
	}
}
