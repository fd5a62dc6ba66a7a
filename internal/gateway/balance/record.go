package balance

import (
	"sync"
	"sync/atomic"
)

const (
	span        = 10 // seconds of the window of the breaker and of the budget for retries
	freeRetries = 10 // that are always allowed in a window
)

// record is what is counted for the upstream of one name, whatever its configuration becomes.
type record struct {
	retries, refused atomic.Uint64 // repetitions that were allowed, and that were not
	opened           atomic.Uint64 // times that the breaker opened

	mu    sync.Mutex
	loads map[string]*load // by address
	gone  totals           // of addresses that are no more
	marks [span]mark       // one a second, as a ring
	next  int
}

// mark is how much had been counted at one time.
type mark struct{ requests, failures, retries uint64 }

func newRecord() *record { return &record{loads: map[string]*load{}} }

// take returns the load of an address for one more target.
func (r *record) take(address string) *load {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.loads[address]
	if l == nil {
		l = &load{}
		r.loads[address] = l
	}
	l.users++
	return l
}

// drop gives it back. The last one that does leaves what was counted with the record.
func (r *record) drop(address string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.loads[address]
	if l.users--; l.users == 0 {
		r.gone.add(l)
		delete(r.loads, address)
	}
}

func (r *record) totals() totals {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sum()
}

func (r *record) sum() totals {
	t := r.gone
	for _, l := range r.loads {
		t.add(l)
	}
	return t
}

// tick is called once a second.
func (r *record) tick() {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.sum()
	r.marks[r.next] = mark{t.all(), t.failures, r.retries.Load()}
	r.next = (r.next + 1) % span
}

// window is what was counted in the last ten seconds.
func (r *record) window() mark {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.since(r.marks[r.next])
}

func (r *record) since(from mark) mark {
	t := r.sum()
	return mark{t.all() - from.requests, t.failures - from.failures, r.retries.Load() - from.retries}
}

// forget begins the window anew.
func (r *record) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	t := r.sum()
	for i := range r.marks {
		r.marks[i] = mark{t.all(), t.failures, r.marks[i].retries}
	}
}

// allow takes one repetition from the budget, a share of the requests of the window.
func (r *record) allow(budget float64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.since(r.marks[r.next])
	if float64(w.retries) >= freeRetries+budget*float64(w.requests) {
		r.refused.Add(1)
		return false
	}
	r.retries.Add(1)
	return true
}

// unused tells that no target counts here any more.
func (r *record) unused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.loads) == 0
}
