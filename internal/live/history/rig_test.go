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
	"github.com/headrace/headrace/internal/problem"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code {
		t.Fatalf("got %v, want %s", err, code)
	}
}

// poll waits for something to become true.
func poll(t testing.TB, what string, ready func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); <-tick.C {
		if ready() {
			return
		}
	}
	t.Fatal("never: " + what)
}

func openEngine(t testing.TB, cfg engine.Config) *engine.Engine {
	t.Helper()
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	if cfg.MinFree == 0 {
		cfg.MinFree = -1
	}
	e, err := engine.Open(context.Background(), cfg, nil)
	must(t, err)
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e
}

// delivered records what was delivered and that it came in order.
type delivered struct {
	mu   sync.Mutex
	last map[string]uint64
	all  map[string][]*protocol.Publication
	bad  string
}

func (d *delivered) deliver(channel string, p *protocol.Publication) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last == nil {
		d.last, d.all = map[string]uint64{}, map[string][]*protocol.Publication{}
	}
	if p.Offset != d.last[channel]+1 && p.Offset != 1 && d.last[channel] != 0 {
		d.bad = fmt.Sprintf("%s: %d after %d", channel, p.Offset, d.last[channel])
	}
	d.last[channel] = p.Offset
	d.all[channel] = append(d.all[channel], p)
}

func (d *delivered) of(channel string) []*protocol.Publication {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[channel]
}

func (d *delivered) check(t testing.TB) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.bad != "" {
		t.Fatal("delivered out of order: " + d.bad)
	}
}

type rig struct {
	t      testing.TB
	engine *engine.Engine
	log    *Log
	got    *delivered
}

func open(t testing.TB, e *engine.Engine, o Options) *rig {
	t.Helper()
	r := &rig{t: t, engine: e, got: &delivered{}}
	var err error
	r.log, err = Open(context.Background(), e, "test", o, r.got.deliver, nil)
	must(t, err)
	t.Cleanup(r.stop)
	return r
}

func (r *rig) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := r.log.Stop(ctx); err != nil {
		r.t.Error(err)
	}
}

func text(s string) *protocol.Publication { return &protocol.Publication{Data: []byte(s)} }

func (r *rig) publish(channel, data string) Position {
	r.t.Helper()
	at, stored, err := r.log.Publish(context.Background(), Publish{Channel: channel, Publication: text(data)})
	must(r.t, err)
	if !stored {
		r.t.Fatal("not stored")
	}
	return at
}

func (r *rig) publishMany(channel string, n int) (last Position) {
	r.t.Helper()
	for i := range n {
		last = r.publish(channel, fmt.Sprint(i+1))
	}
	return last
}

func (r *rig) read(channel string, f Filter) ([]*protocol.Publication, Position) {
	r.t.Helper()
	found, at, err := r.log.Read(context.Background(), channel, f)
	must(r.t, err)
	return found, at
}

func (r *rig) top(channel string) Position {
	r.t.Helper()
	at, err := r.log.Top(context.Background(), channel)
	must(r.t, err)
	return at
}

// want checks the offsets of publications.
func want(t testing.TB, found []*protocol.Publication, offsets ...uint64) {
	t.Helper()
	var got []uint64
	for _, p := range found {
		got = append(got, p.Offset)
	}
	if fmt.Sprint(got) != fmt.Sprint(offsets) {
		t.Fatalf("got %v, want %v", got, offsets)
	}
}

// from is the offsets low to high.
func from(low, high uint64) (all []uint64) {
	for ; low <= high; low++ {
		all = append(all, low)
	}
	return all
}
