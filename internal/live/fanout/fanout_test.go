package fanout

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/wire"
)

// reader is a Receiver that notes the offsets it was given.
type reader struct {
	mu   sync.Mutex
	got  []uint64
	seen []byte
}

func (r *reader) Deliver(s *Subscription, b *Batch) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.Fits(s) {
		bytes, _ := b.Bytes(s, wire.Lines)
		r.seen = append(r.seen, bytes...)
	}
	n := 0
	for _, i := range b.Items {
		if s.Wants(i) {
			r.got = append(r.got, i.Offset())
			n++
		}
	}
	return n
}

func (r *reader) Restarted(s *Subscription) { s.Restart() }

func (r *reader) offsets() []uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]uint64(nil), r.got...)
}

func until(t *testing.T, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(10 * time.Second); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("it takes too long")
		}
	}
}

func publication(offset uint64) *Item {
	return &Item{Publication: &protocol.Publication{Offset: offset, Data: fmt.Appendf(nil, "%d", offset)}, At: time.Now()}
}

// Subscribers that come and go while others publish get everything between, once and in order, whatever the number of parts.
func TestOrder(t *testing.T) {
	const total = 2000
	h := NewHub(func([]*Item, int) {})
	defer h.Stop()
	stay := make([]*reader, 3*partSize)
	for i := range stay {
		stay[i] = &reader{}
		if _, err := h.Subscribe("c", stay[i], 0, nil, 0); err != nil {
			t.Fatal(err)
		}
	}
	var all sync.WaitGroup
	all.Go(func() {
		for i := range total {
			if !h.Publish("c", publication(uint64(i+1))) {
				t.Error("a gap where there is none")
			}
		}
	})
	for range 4 {
		all.Go(func() {
			for range 100 {
				r := &reader{}
				s, err := h.Subscribe("c", r, 0, nil, 0)
				if err != nil {
					t.Error(err)
				}
				h.Unsubscribe(s)
				got := r.offsets()
				for i := range got {
					if i > 0 && got[i] != got[i-1]+1 {
						t.Errorf("%d after %d", got[i], got[i-1])
					}
				}
			}
		})
	}
	all.Wait()
	for _, r := range stay {
		until(t, func() bool { return len(r.offsets()) == total })
		for i, offset := range r.offsets() {
			if offset != uint64(i+1) {
				t.Fatalf("%d at place %d", offset, i)
			}
		}
	}
	if channels, subs := h.Len(); channels != 1 || subs != len(stay) {
		t.Error(channels, subs)
	}
}

func TestGapAndRestart(t *testing.T) {
	h := NewHub(func([]*Item, int) {})
	defer h.Stop()
	r := &reader{}
	s, _ := h.Subscribe("c", r, 0, nil, 0)
	s.Told(3, false)
	for _, c := range []struct {
		offset uint64
		whole  bool
	}{{3, true}, {4, true}, {6, false}, {7, true}} {
		if whole := h.Publish("c", publication(c.offset)); whole != c.whole {
			t.Errorf("%d: %t", c.offset, whole)
		}
	}
	h.Channel("c").Restart()
	if !h.Publish("c", publication(1)) {
		t.Error("offsets did not begin again")
	}
	until(t, func() bool { return fmt.Sprint(r.offsets()) == "[4 6 7 1]" })
}

func TestMost(t *testing.T) {
	h := NewHub(func([]*Item, int) {})
	defer h.Stop()
	var subs []*Subscription
	for range 5 {
		s, err := h.Subscribe("c", &reader{}, 0, nil, 5)
		if err != nil {
			t.Fatal(err)
		}
		subs = append(subs, s)
	}
	if _, err := h.Subscribe("c", &reader{}, 0, nil, 5); err != ErrFull {
		t.Error(err)
	}
	for _, s := range subs {
		h.Unsubscribe(s)
	}
	if h.Channel("c") != nil {
		t.Error("an empty channel is kept")
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var taken sync.WaitGroup
			h := NewHub(func(items []*Item, n int) { taken.Add(-n) })
			defer h.Stop()
			for range n {
				if _, err := h.Subscribe("c", nothing{}, 0, nil, 0); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			taken.Add(n * b.N)
			for range b.N {
				h.Publish("c", &Item{Publication: &protocol.Publication{Data: []byte("1")}, At: time.Now()})
			}
			taken.Wait()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n*b.N), "ns/delivery")
		})
	}
}

// nothing is a Receiver that has the bytes made and drops them.
type nothing struct{}

func (nothing) Deliver(s *Subscription, b *Batch) int {
	_, _ = b.Bytes(s, wire.Lines)
	return len(b.Items)
}

func (nothing) Restarted(*Subscription) {}
