package live

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/live/wire"
)

func TestConfigure(t *testing.T) {
	r := newRig(t, nil, nil)
	p := r.peer("/websocket")
	p.enter("")
	for _, channel := range []string{"plain", "chat:a", "cache:a"} {
		if c := code(p.ask(fmt.Sprintf(`{"subscribe":{"channel":%q}}`, channel))); c != 0 {
			t.Fatal(c)
		}
	}
	c := newConfig()
	delete(c.Namespaces, "cache")
	c.Namespaces["chat"].History.Size = 0
	c.Channels.Publish = ""
	if err := r.Configure(c); err != nil {
		t.Fatal(err)
	}
	codes := map[string]uint32{}
	for range 2 {
		push := p.push()
		codes[push.Channel] = push.Unsubscribe.GetCode()
	}
	if codes["cache:a"] != 2000 || codes["chat:a"] != 2500 {
		t.Error(codes)
	}
	if c := code(p.ask(`{"subscribe":{"channel":"cache:a"}}`)); c != 102 {
		t.Error(c)
	}
	if c := code(p.ask(`{"publish":{"channel":"plain","data":1}}`)); c != 103 {
		t.Error(c)
	}
	if s := p.ask(`{"subscribe":{"channel":"chat:a"}}`).Subscribe; s == nil || s.Recoverable {
		t.Error(s)
	}
	broken := newConfig()
	broken.Channels.Subscribe = "user =="
	if err := r.Configure(broken); err == nil {
		t.Error("a broken rule was taken")
	}
	if r.Info().Connections != 1 {
		t.Error("a connection was closed")
	}
}

// Clients are told to come back, spread over the window.
func TestStop(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.ShutdownWindow = 400 * time.Millisecond }, nil)
	var peers []*peer
	for range 20 {
		p := r.peer("/websocket")
		p.enter("")
		peers = append(peers, p)
	}
	stopped := make(chan time.Duration, 1)
	go func() {
		began := time.Now()
		_ = r.Stop(context.Background())
		stopped <- time.Since(began)
	}()
	for _, p := range peers {
		if c := p.over(); c != 3001 {
			t.Error(c)
		}
		_ = p.conn.Close()
	}
	if took := recv(t, stopped, "stop"); took < 300*time.Millisecond {
		t.Errorf("stopped within %s", took)
	}
	if _, status := r.dial("/websocket"); status != 503 {
		t.Error(status)
	}
}

// A published client with differences gets whole data.
func TestDelta(t *testing.T) {
	r := newRig(t, nil, nil)
	formats(t, func(t *testing.T, protobuf bool) {
		r := &rig{TB: t, Live: r.Live, addr: r.addr}
		c := r.client(centrifuge.Config{}, protobuf)
		channel := fmt.Sprintf("chat:delta%t", protobuf)
		_, got := r.subscribed(c, channel, centrifuge.SubscriptionConfig{Delta: centrifuge.DeltaTypeFossil, Recoverable: true})
		for i := range 30 {
			data := fmt.Sprintf(`{"n":%d,"text":"what stays the same is not sent again, über and über","list":[1,2,3,4,5,6,7,8,9]}`, i)
			if _, err := r.Publish(t.Context(), channel, []byte(data), PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			if e := recv(t, got, "publication"); string(e.Data) != data {
				t.Fatalf("%s instead of %s", e.Data, data)
			}
		}
	})
	p := r.peer("/websocket")
	p.enter("")
	if s := p.ask(`{"subscribe":{"channel":"chat:d","delta":"fossil"}}`).Subscribe; !s.Delta {
		t.Fatal(s)
	}
	differences := 0
	for i := range 5 {
		if _, err := r.Publish(t.Context(), "chat:d", fmt.Appendf(nil, `{"text":"something that stays as it is for all publications","n":%d}`, i), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
		push := p.push()
		for push.Pub == nil {
			push = p.push()
		}
		if push.Pub.Delta {
			differences++
		}
	}
	if differences != 4 {
		t.Errorf("%d of 5 were differences", differences)
	}
	// Those that were missed are told as differences too, and what comes then.
	q := r.peer("/websocket")
	q.enter("")
	s := q.ask(`{"subscribe":{"channel":"chat:d","delta":"fossil","recover":true,"offset":2}}`).Subscribe
	if len(s.Publications) != 3 || s.Publications[0].Delta || !s.Publications[1].Delta || !s.Publications[2].Delta {
		t.Error(s)
	}
}

// What is no JSON ends a client that speaks JSON; others get it.
func TestBinary(t *testing.T) {
	r := newRig(t, nil, nil)
	c := r.client(centrifuge.Config{}, true)
	_, got := r.subscribed(c, "plain", centrifuge.SubscriptionConfig{})
	p := r.peer("/websocket")
	p.enter("")
	p.ask(`{"subscribe":{"channel":"plain"}}`)
	if _, err := r.Publish(t.Context(), "plain", []byte{0, 1, 2}, PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := recv(t, got, "publication"); string(e.Data) != "\x00\x01\x02" {
		t.Error(e.Data)
	}
	if c := p.over(); c != 3506 {
		t.Error(c)
	}
}

func TestIdempotency(t *testing.T) {
	r := newRig(t, nil, nil)
	for _, channel := range []string{"plain", "chat:a"} {
		for i := range 3 {
			result, err := r.Publish(t.Context(), channel, []byte(`1`), PublishOptions{IdempotencyKey: "k"})
			if err != nil || result.Skipped != (i > 0) {
				t.Errorf("%s: %v %v", channel, result, err)
			}
		}
	}
	if results, failed := r.Broadcast(t.Context(), []string{"chat:a", "chat:b", "none:c"}, []byte(`1`), PublishOptions{}); failed[0] != nil || failed[2] == nil || results[0].Offset != 2 || results[1].Offset != 1 {
		t.Error(results, failed)
	}
}

func TestCompression(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Compression = true }, nil)
	formats(t, func(t *testing.T, protobuf bool) {
		r := &rig{TB: t, Live: r.Live, addr: r.addr}
		c := r.client(centrifuge.Config{EnableCompression: true}, protobuf)
		sub, got := r.subscribed(c, "plain", centrifuge.SubscriptionConfig{})
		data := `{"text":"` + strings.Repeat("again and ", 200) + `"}`
		if _, err := sub.Publish(t.Context(), []byte(data)); err != nil {
			t.Fatal(err)
		}
		if e := recv(t, got, "publication"); string(e.Data) != data {
			t.Error(len(e.Data))
		}
		for _, s := range r.registry.all() {
			if s.format&wire.Deflate == 0 {
				t.Error("nothing is compressed")
			}
		}
	})
}
