package balance

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// breaker gives up on an upstream whose requests fail. Closed it lets all requests through and costs one load; open none; after a while
// it is half open and tries one, whose end decides.
type breaker struct {
	cfg   config.Breaker
	state atomic.Int32

	mu    sync.Mutex
	until time.Time // open until then; half open: when the request that is tried counts as lost
}

const (
	closed int32 = iota
	open
	halfOpen
)

var breakerStates = [...]string{"closed", "open", "half_open"}

// admit tells whether a request may go; where not, how long it will be so.
func (b *breaker) admit() (time.Duration, bool) {
	if b.state.Load() == closed {
		return 0, true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	switch left := time.Until(b.until); {
	case b.state.Load() == closed:
		return 0, true
	case left > 0:
		return left, false
	}
	b.state.Store(halfOpen)
	b.until = time.Now().Add(b.cfg.Open)
	return 0, true
}

// ended hears of a request that ended, and tells whether the breaker has opened by it.
func (b *breaker) ended(failed bool, r *record) bool {
	switch b.state.Load() {
	case closed:
		if !failed {
			return false
		}
		w := r.window()
		return w.requests >= uint64(b.cfg.Requests) && float64(w.failures) >= b.cfg.Ratio*float64(w.requests) && b.trip(closed)
	case halfOpen:
		if failed {
			return b.trip(halfOpen)
		}
		// What failed before is forgotten, so that one failure more does not open it again.
		r.forget()
		b.state.CompareAndSwap(halfOpen, closed)
	}
	return false
}

func (b *breaker) trip(from int32) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.state.CompareAndSwap(from, open) {
		return false
	}
	b.until = time.Now().Add(b.cfg.Open)
	return true
}
