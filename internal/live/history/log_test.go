package history

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/engine"
)

var hour = Options{Size: 100, Age: time.Hour}

func TestPublishAndRead(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), hour)
	empty := r.top("chat:1")
	if empty.Offset != 0 || empty.Epoch == "" {
		t.Fatal(empty)
	}
	at := r.publishMany("chat:1", 10)
	if at != (Position{10, empty.Epoch}) || r.top("chat:1") != at {
		t.Fatal(at, r.top("chat:1"))
	}
	found, top := r.read("chat:1", Filter{Since: &empty, Limit: All})
	want(t, found, from(1, 10)...)
	if top != at || string(found[3].Data) != "4" {
		t.Fatal(top, found[3])
	}
	want(t, r.got.of("chat:1"), from(1, 10)...)
	for _, test := range []struct {
		f    Filter
		want []uint64
	}{
		{Filter{}, nil},
		{Filter{Limit: All}, from(1, 10)},
		{Filter{Limit: 3}, from(1, 3)},
		{Filter{Limit: 3, Since: &Position{4, at.Epoch}}, from(5, 7)},
		{Filter{Limit: All, Since: &at}, nil},
		{Filter{Limit: 3, Reverse: true}, []uint64{10, 9, 8}},
		{Filter{Limit: 3, Reverse: true, Since: &Position{8, at.Epoch}}, []uint64{7, 6, 5}},
		{Filter{Limit: All, Reverse: true, Since: &Position{3, at.Epoch}}, []uint64{2, 1}},
		{Filter{Limit: All, Reverse: true, Since: &Position{1, at.Epoch}}, nil},
	} {
		found, _ := r.read("chat:1", test.f)
		want(t, found, test.want...)
	}
	for _, since := range []Position{{11, at.Epoch}, {3, "other"}} {
		if _, top, err := r.log.Read(t.Context(), "chat:1", Filter{Since: &since, Limit: All}); !errors.Is(err, ErrGone) || top != at {
			t.Fatal(since, top, err)
		}
	}
}

func TestManyPublishersAndReaders(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), Options{Size: 1000, Age: time.Hour, Ring: 50})
	const channels, publishers, each = 20, 4, 50
	var all sync.WaitGroup
	quit := make(chan struct{})
	var readers sync.WaitGroup
	for c := range channels {
		name := fmt.Sprintf("room:%d", c)
		readers.Go(func() {
			at := r.top(name)
			tick := time.NewTicker(2 * time.Millisecond)
			defer tick.Stop()
			for {
				found, top, err := r.log.Read(t.Context(), name, Filter{Since: &at, Limit: All})
				if err != nil {
					t.Error(err)
					return
				}
				for i, p := range found {
					if p.Offset != at.Offset+uint64(i)+1 {
						t.Error("hole")
						return
					}
				}
				at = top
				select {
				case <-quit:
					return
				case <-tick.C:
				}
			}
		})
		for range publishers {
			all.Go(func() {
				last := uint64(0)
				for range each {
					at, _, err := r.log.Publish(t.Context(), Publish{Channel: name, Publication: text("x")})
					if err != nil || at.Offset <= last {
						t.Error(at, err)
						return
					}
					last = at.Offset
				}
			})
		}
	}
	all.Wait()
	close(quit)
	readers.Wait()
	r.got.check(t)
	for c := range channels {
		name := fmt.Sprintf("room:%d", c)
		want(t, r.got.of(name), from(1, publishers*each)...)
		found, _ := r.read(name, Filter{Limit: All}) // beyond the ring
		want(t, found, from(1, publishers*each)...)
	}
}

func TestRestart(t *testing.T) {
	data := t.TempDir()
	e := openEngine(t, engine.Config{Data: data})
	r := open(t, e, hour)
	at := r.publishMany("a", 20)
	never := r.top("never published")
	r.stop()
	must(t, e.Stop(context.Background()))

	r = open(t, openEngine(t, engine.Config{Data: data}), hour)
	if top := r.top("a"); top != at {
		t.Fatal(top, at)
	}
	if top := r.top("never published"); top != never {
		t.Fatal(top, never)
	}
	found, _ := r.read("a", Filter{Since: &Position{15, at.Epoch}, Limit: All})
	want(t, found, from(16, 20)...)
	if next := r.publish("a", "x"); next != (Position{21, at.Epoch}) {
		t.Fatal(next)
	}
	found, _ = r.read("a", Filter{Limit: All})
	want(t, found, from(1, 21)...)
}

func TestNamespaces(t *testing.T) {
	e := openEngine(t, engine.Config{})
	logs := map[string]*Log{}
	for _, name := range []string{"", "chat", "a.b c", "="} {
		l, err := Open(t.Context(), e, name, hour, func(string, *protocol.Publication) {}, nil)
		must(t, err)
		logs[name] = l
	}
	for name, l := range logs {
		at, stored, err := l.Publish(t.Context(), Publish{Channel: "x", Publication: text(name)})
		if err != nil || !stored || at.Offset != 1 {
			t.Fatal(name, at, err)
		}
	}
	for _, l := range logs {
		must(t, l.Stop(t.Context()))
		must(t, l.Stop(t.Context()))
	}
}

// A publication that was given is not changed, so that it can go to many channels.
func TestOnePublicationManyChannels(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), hour)
	p := text("x")
	for i := range 3 {
		for range i {
			r.publish(fmt.Sprint(i), "before")
		}
		at, _, err := r.log.Publish(t.Context(), Publish{Channel: fmt.Sprint(i), Publication: p})
		must(t, err)
		if at.Offset != uint64(i)+1 || p.Offset != 0 {
			t.Fatal(at, p)
		}
	}
}

// More channels than messages may be on their way at once.
func TestManyChannels(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), hour)
	var all sync.WaitGroup
	for i := range 3 * maxFlying {
		all.Go(func() { r.publish(fmt.Sprint(i), "x") })
	}
	all.Wait()
	r.got.check(t)
	for i := range 3 * maxFlying {
		want(t, r.got.of(fmt.Sprint(i)), 1)
	}
}
