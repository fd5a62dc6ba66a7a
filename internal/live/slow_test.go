package live

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// stalled subscribes a client that then reads nothing.
func (r *rig) stalled(channel string) *peer {
	r.Helper()
	p := r.peer("/websocket")
	_ = p.conn.(*net.TCPConn).SetReadBuffer(64 << 10)
	p.enter("")
	if reply := p.ask(fmt.Sprintf(`{"subscribe":{"channel":%q}}`, channel)); reply.Subscribe == nil {
		r.Fatal(reply)
	}
	return p
}

// flood publishes until something of the stalled client was dropped, and once more.
func (r *rig) flood(channel string, key func(i int) string) (sent int) {
	r.Helper()
	padding := strings.Repeat("x", 16<<10)
	publish := func() {
		sent++
		if _, err := r.Publish(r.Context(), channel, fmt.Appendf(nil, `{"n":%d,"pad":%q}`, sent, padding), PublishOptions{Key: key(sent)}); err != nil {
			r.Fatal(err)
		}
	}
	for deadline := time.Now().Add(wait); r.metrics.slow.Load() == 0; publish() {
		if time.Now().After(deadline) {
			r.Fatal("nothing was dropped")
		}
	}
	publish()
	return sent
}

func TestSlowClients(t *testing.T) {
	none := func(int) string { return "" }
	open := func(t *testing.T, slow string) (*rig, *peer, *atomic.Int64) {
		r := newRig(t, func(c *config.Live) {
			c.MaxQueue = 256 << 10
			for _, n := range []*config.Namespace{c.Channels, c.Namespaces["chat"]} {
				n.Slow, n.JoinLeave = slow, false
			}
		}, nil)
		channel := "plain"
		if slow == "resync" {
			channel = "chat:a"
		}
		slowly := r.stalled(channel)
		// Another client gets everything meanwhile.
		other := r.peer("/websocket")
		other.enter("")
		other.ask(fmt.Sprintf(`{"subscribe":{"channel":%q}}`, channel))
		last := &atomic.Int64{}
		go func() {
			for {
				reply, err := other.next()
				if err != nil || reply.Push == nil || reply.Push.Pub == nil {
					return
				}
				text, _, _ := strings.Cut(string(reply.Push.Pub.Data), ",")
				if text != fmt.Sprintf(`{"n":%d`, last.Load()+1) {
					return
				}
				last.Add(1)
			}
		}()
		return r, slowly, last
	}
	reached := func(t *testing.T, last *atomic.Int64, sent int) {
		t.Helper()
		eventually(t, "the other client has all", func() bool { return int(last.Load()) == sent })
	}
	t.Run("disconnect", func(t *testing.T) {
		r, p, last := open(t, "disconnect")
		sent := r.flood("plain", none)
		reached(t, last, sent)
		eventually(t, "it is gone", func() bool { return r.Info().Connections == 1 })
		for err := error(nil); err == nil; {
			_, err = p.frame()
		}
	})
	t.Run("drop_oldest", func(t *testing.T) {
		r, p, last := open(t, "drop_oldest")
		sent := r.flood("plain", none)
		reached(t, last, sent)
		seen, n := 0, 0
		for ; n != sent; seen++ {
			if _, err := fmt.Sscanf(string(p.push().Pub.Data), `{"n":%d`, &n); err != nil {
				t.Fatal(err)
			}
		}
		if seen >= sent {
			t.Errorf("%d of %d came", seen, sent)
		}
	})
	t.Run("latest_per_key", func(t *testing.T) {
		r, p, last := open(t, "latest_per_key")
		sent := r.flood("plain", func(i int) string { return fmt.Sprint(i % 3) })
		reached(t, last, sent)
		latest := map[string]int{}
		for n := 0; n != sent; {
			push := p.push()
			if _, err := fmt.Sscanf(string(push.Pub.Data), `{"n":%d`, &n); err != nil {
				t.Fatal(err)
			}
			if latest[push.Pub.Key] >= n {
				t.Fatalf("%d after %d", n, latest[push.Pub.Key])
			}
			latest[push.Pub.Key] = n
		}
		for i := sent - 2; i <= sent; i++ {
			if latest[fmt.Sprint(i%3)] != i {
				t.Errorf("latest are %v of %d", latest, sent)
			}
		}
	})
	t.Run("resync", func(t *testing.T) {
		r, p, last := open(t, "resync")
		sent := r.flood("chat:a", none)
		reached(t, last, sent)
		offset := uint64(0)
		for {
			push := p.push()
			if push.Unsubscribe != nil {
				if push.Unsubscribe.Code != 2500 {
					t.Fatal(push)
				}
				break
			}
			if push.Pub.Offset != offset+1 {
				t.Fatalf("%d after %d", push.Pub.Offset, offset)
			}
			offset++
		}
		got := p.ask(fmt.Sprintf(`{"subscribe":{"channel":"chat:a","recover":true,"offset":%d}}`, offset)).Subscribe
		if !got.Recovered || int(offset)+len(got.Publications) != sent {
			t.Fatalf("%d and %d of %d, %t", offset, len(got.Publications), sent, got.Recovered)
		}
	})
}
