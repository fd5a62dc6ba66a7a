package history

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/engine"
)

// reopen restarts the engine and the log.
func (r *rig) reopen(o Options) *rig {
	r.t.Helper()
	data := r.engine.Data()
	r.stop()
	must(r.t, r.engine.Stop(context.Background()))
	return open(r.t, openEngine(r.t, engine.Config{Data: data}), o)
}

func (r *rig) evictAll() { r.log.evictIdle(time.Now().Add(24 * time.Hour)) }

func TestIdempotency(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), hour)
	p := Publish{Channel: "a", Publication: text("x"), Idempotency: "key"}
	again := func(wantAt Position) {
		t.Helper()
		at, stored, err := r.log.Publish(t.Context(), p)
		must(t, err)
		if stored || at != wantAt {
			t.Fatal(at, stored)
		}
	}
	r.publish("a", "first")
	at, stored, err := r.log.Publish(t.Context(), p)
	must(t, err)
	if !stored || at.Offset != 2 {
		t.Fatal(at, stored)
	}
	r.publish("a", "third")
	again(at)
	other := p
	other.Channel = "b"
	if _, stored, err := r.log.Publish(t.Context(), other); err != nil || !stored {
		t.Fatal(stored, err)
	}
	want(t, r.got.of("a"), 1, 2, 3)
	r = r.reopen(hour)
	again(at)
	if next := r.publish("a", "x"); next.Offset != 4 {
		t.Fatal(next)
	}

	var all sync.WaitGroup
	var mu sync.Mutex
	times := 0
	for range 50 {
		all.Go(func() {
			_, stored, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text("x"), Idempotency: "race"})
			mu.Lock()
			defer mu.Unlock()
			if stored {
				times++
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if times != 1 || r.top("a").Offset != 5 {
		t.Fatal(times, r.top("a"))
	}

	p.Idempotency, p.IdempotencyTTL = "short", 50*time.Millisecond
	at, _, err = r.log.Publish(t.Context(), p)
	must(t, err)
	poll(t, "key is over", func() bool {
		next, stored, err := r.log.Publish(t.Context(), p)
		return err == nil && stored && next.Offset == at.Offset+1
	})
	p.Idempotency = strings.Repeat("x", maxKey+1)
	_, _, err = r.log.Publish(t.Context(), p)
	wantCode(t, err, "HR3052")
}

func TestVersion(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), hour)
	put := func(version uint64, epoch string, wantStored bool, wantOffset uint64) {
		t.Helper()
		at, stored, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text("x"), Version: version, VersionEpoch: epoch})
		must(t, err)
		if stored != wantStored || at.Offset != wantOffset {
			t.Fatal(at, stored)
		}
	}
	put(5, "", true, 1)
	put(5, "", false, 1)
	put(4, "", false, 1)
	put(6, "", true, 2)
	put(0, "", true, 3)  // without a version
	put(6, "", false, 3) // which is still that of 2
	r.evictAll()
	put(6, "", false, 3)
	put(1, "e", true, 4)
	r = r.reopen(hour)
	put(1, "e", false, 4)
	put(2, "e", true, 5)
	must(t, r.log.Remove(t.Context(), "a"))
	put(1, "e", true, 1)
}

func TestRemove(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), hour)
	at := r.publishMany("a", 5)
	other := r.publishMany("b", 5)
	must(t, r.log.Remove(t.Context(), "a"))
	check := func() {
		t.Helper()
		found, top := r.read("a", Filter{Limit: All})
		want(t, found)
		if top.Offset != 0 || top.Epoch == at.Epoch {
			t.Fatal(top)
		}
		if _, _, err := r.log.Read(t.Context(), "a", Filter{Since: &at, Limit: All}); !errors.Is(err, ErrGone) {
			t.Fatal(err)
		}
		if r.top("b") != other {
			t.Fatal("another channel was touched")
		}
	}
	check()
	removed := r.top("a")
	r.evictAll()
	check()
	r = r.reopen(hour)
	check()
	if r.top("a") != removed {
		t.Fatal(r.top("a"), removed)
	}
	if next := r.publish("a", "x"); next != (Position{1, removed.Epoch}) {
		t.Fatal(next)
	}
	r.evictAll()
	found, _ := r.read("a", Filter{Limit: All})
	want(t, found, 1)
}

func TestExpiry(t *testing.T) {
	o := Options{Size: 100, Age: time.Second}
	r := open(t, openEngine(t, engine.Config{}), o)
	at := r.publishMany("a", 3)
	one := Position{1, at.Epoch}
	gone := func() bool {
		found, top, err := r.log.Read(t.Context(), "a", Filter{Limit: All})
		must(t, err)
		return len(found) == 0 && top == at
	}
	poll(t, "all expired", gone)
	if _, _, err := r.log.Read(t.Context(), "a", Filter{Since: &one, Limit: All}); !errors.Is(err, ErrGone) {
		t.Fatal(err)
	}
	if found, _, err := r.log.Read(t.Context(), "a", Filter{Since: &at, Limit: All}); err != nil || len(found) != 0 {
		t.Fatal(found, err)
	}
	at = r.publish("a", "4")
	if at.Offset != 4 {
		t.Fatal("offsets of a live channel go on", at)
	}
	found, _ := r.read("a", Filter{Limit: All})
	want(t, found, 4)

	// also when it left the memory before it expired
	r.evictAll()
	stream, err := r.log.js.Stream(t.Context(), r.log.stream)
	must(t, err)
	poll(t, "the stream is empty", func() bool {
		info, err := stream.Info(t.Context())
		return err == nil && info.State.Msgs == 0
	})
	if top := r.top("a"); top != at {
		t.Fatal(top, at)
	}
	r = r.reopen(o)
	if top := r.top("a"); top.Offset != 0 || top.Epoch == at.Epoch {
		t.Fatal("a new life after the restart", top)
	}
}

func TestSize(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), Options{Size: 10, Age: time.Hour, Ring: 4})
	at := r.publishMany("a", 25)
	check := func() {
		t.Helper()
		for since, wanted := range map[uint64][]uint64{15: from(16, 25), 20: from(21, 25), 22: from(23, 25), 25: nil} {
			found, _ := r.read("a", Filter{Since: &Position{since, at.Epoch}, Limit: All})
			want(t, found, wanted...)
		}
		if _, _, err := r.log.Read(t.Context(), "a", Filter{Since: &Position{14, at.Epoch}, Limit: 1}); !errors.Is(err, ErrGone) {
			t.Fatal(err)
		}
		found, _ := r.read("a", Filter{Limit: All})
		want(t, found, from(16, 25)...)
		found, _ = r.read("a", Filter{Limit: 3})
		want(t, found, 16, 17, 18)
		found, _ = r.read("a", Filter{Limit: 2, Reverse: true, Since: &Position{18, at.Epoch}})
		want(t, found, 17, 16)
	}
	check()
	r.evictAll()
	check()
}

// A long history is searched, not read from its beginning.
func TestLongHistory(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{Durability: engine.Written}), Options{Size: 3000, Age: time.Hour, Ring: 10})
	var all sync.WaitGroup
	for i := range 4000 {
		all.Go(func() { r.publish([]string{"a", "b"}[i%2], "x") })
	}
	all.Wait()
	at := r.top("a")
	for _, since := range []uint64{0, 1, 255, 256, 700, 1500, 1980, 1999} {
		found, _ := r.read("a", Filter{Since: &Position{since, at.Epoch}, Limit: 5})
		want(t, found, from(since+1, min(since+5, 2000))...)
	}
	found, _ := r.read("a", Filter{Limit: All})
	want(t, found, from(1, 2000)...)
}

func TestConfigure(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), Options{Size: 10, Age: time.Hour})
	r.publishMany("a", 10)
	must(t, r.log.Configure(t.Context(), Options{Size: 4, Age: time.Hour}))
	found, _ := r.read("a", Filter{Limit: All})
	want(t, found, from(7, 10)...)
	must(t, r.log.Configure(t.Context(), Options{Size: 20, Age: 2 * time.Hour}))
	at := r.publishMany("a", 10)
	found, _ = r.read("a", Filter{Limit: All})
	want(t, found, from(7, 20)...)
	r = r.reopen(Options{Size: 5, Age: time.Hour})
	found, top := r.read("a", Filter{Limit: All})
	want(t, found, from(16, 20)...)
	if top != at {
		t.Fatal(top, at)
	}
	for _, o := range []Options{{}, {Size: 1, Age: time.Millisecond}, {Size: maxSize + 1, Age: time.Hour}} {
		wantCode(t, r.log.Configure(t.Context(), o), "HR9003")
	}
}

func TestEviction(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), Options{Size: 10, Age: time.Hour, Channels: 5, Memory: 10_000})
	at := map[string]Position{}
	for i := range 50 {
		name := fmt.Sprint("c", i)
		at[name] = r.publishMany(name, 3)
	}
	poll(t, "few channels are in memory", func() bool {
		r.log.mu.Lock()
		defer r.log.mu.Unlock()
		return len(r.log.channels) <= 6 && r.log.recent.Len() == len(r.log.channels) && r.log.bytes.Load() <= 10_000
	})
	for name, top := range at {
		found, now := r.read(name, Filter{Since: &Position{0, top.Epoch}, Limit: All})
		want(t, found, 1, 2, 3)
		if now != top {
			t.Fatal(now, top)
		}
	}
	// a publication that is larger than the memory of a channel is read from the stream
	r.publish("big", strings.Repeat("x", 20_000))
	found, _ := r.read("big", Filter{Limit: All})
	want(t, found, 1)
	r.evictAll()
	if len(r.log.channels) != 0 || r.log.bytes.Load() != 0 {
		t.Fatal(len(r.log.channels), r.log.bytes.Load())
	}
}

func TestStreamIsLost(t *testing.T) {
	e := openEngine(t, engine.Config{})
	r := open(t, e, hour)
	at := r.publishMany("a", 3)
	stream := r.log.stream
	must(t, r.log.js.DeleteStream(t.Context(), stream))
	_, _, err := r.log.Publish(t.Context(), Publish{Channel: "a", Publication: text("x")})
	wantCode(t, err, "HR3050")
	r.stop()
	r = open(t, e, hour)
	if top := r.top("a"); top.Offset != 0 || top.Epoch == at.Epoch {
		t.Fatal(top)
	}
}

func TestChannelNames(t *testing.T) {
	r := open(t, openEngine(t, engine.Config{}), hour)
	for _, name := range []string{"a.b", "a b", "*", ">", "ünï🎉", "=", "chat:x#1,2", strings.Repeat("ü", 127)} {
		at := r.publish(name, name)
		r.evictAll()
		found, top := r.read(name, Filter{Limit: All})
		want(t, found, 1)
		if top != at || string(found[0].Data) != name {
			t.Fatal(name, top, at)
		}
	}
	for _, name := range []string{"", "\xff", strings.Repeat("x", 256)} {
		_, _, err := r.log.Publish(t.Context(), Publish{Channel: name, Publication: text("x")})
		wantCode(t, err, "HR3051")
		_, err = r.log.Top(t.Context(), name)
		wantCode(t, err, "HR3051")
	}
}
