package fanout

import (
	"slices"
	"sync"
	"sync/atomic"
)

// taps are told of everything that is published. They cost one load while there are none.
type taps struct {
	mu  sync.Mutex
	all atomic.Pointer[[]*func(channel string, i *Item)]
}

// Tap calls f with every item before the subscribers get it, in channels without subscribers too, until remove is called. f must not block.
func (h *Hub) Tap(f func(channel string, i *Item)) (remove func()) {
	h.taps.change(func(all []*func(string, *Item)) []*func(string, *Item) { return append(all, &f) })
	return func() {
		h.taps.change(func(all []*func(string, *Item)) []*func(string, *Item) {
			return slices.DeleteFunc(all, func(other *func(string, *Item)) bool { return other == &f })
		})
	}
}

func (t *taps) change(f func([]*func(string, *Item)) []*func(string, *Item)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var all []*func(string, *Item)
	if old := t.all.Load(); old != nil {
		all = slices.Clone(*old)
	}
	if all = f(all); len(all) == 0 {
		t.all.Store(nil)
		return
	}
	t.all.Store(&all)
}

func (t *taps) tell(channel string, i *Item) {
	if all := t.all.Load(); all != nil {
		for _, f := range *all {
			(*f)(channel, i)
		}
	}
}
