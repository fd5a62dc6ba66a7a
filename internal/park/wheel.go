package park

import (
	"math"
	"sync"
	"time"
)

const (
	resolution = 100 * time.Millisecond
	struck     = math.MaxUint32 // Conn.due between turn and claim
	spokes     = 512            // a turn takes 51.2 s; what is due later is passed over
	forever    = math.MaxInt64  // a time to sleep
)

// wheel holds the timers of all connections as lists of the connections themselves: setting and clearing take a few instructions
// and no memory. It sleeps until the next of them, for a process that only waits should not wake up ten times a second.
type wheel struct {
	mu      sync.Mutex
	slots   [spokes]*Conn
	began   time.Time
	past    uint32 // the last tick that was looked at
	wakes   uint32 // the tick at which it looks again; struck is never
	armed   int    // timers set
	earlier chan struct{}
	quit    chan struct{}
}

func (w *wheel) start() {
	w.began, w.wakes = time.Now(), struck
	w.earlier, w.quit = make(chan struct{}, 1), make(chan struct{})
	go func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		var due []*Conn
		for {
			select {
			case <-w.quit:
				return
			case <-w.earlier:
			case <-timer.C:
			}
			var next time.Duration
			due, next = w.turn(due[:0])
			timer.Reset(next)
			for i, c := range due {
				c.expire()
				due[i] = nil
			}
		}
	}()
}

func (w *wheel) stop() { close(w.quit) }

func (w *wheel) set(c *Conn, d time.Duration) {
	const longest = 10 * 365 * 24 * time.Hour
	due := uint32((time.Since(w.began)+min(d, longest))/resolution) + 1
	if d >= time.Second { // timers that are not short keep to every other tick: the process wakes half as often for them
		due = (due + 1) &^ 1
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(c)
	due = max(due, w.past+1)
	slot := &w.slots[due%spokes]
	c.due, c.next = due, *slot
	if c.next != nil {
		c.next.prev = c
	}
	*slot = c
	w.armed++
	if due < w.wakes {
		w.wakes = due
		select {
		case w.earlier <- struct{}{}:
		default: // it is on its way
		}
	}
}

func (w *wheel) clear(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.take(c)
}

// claim tells whether the timer of c that turn has found due is neither set anew nor cleared since.
func (w *wheel) claim(c *Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	struck := c.due == struck
	if struck {
		c.due = 0
	}
	return struck
}

// take unlinks c; w.mu is held.
func (w *wheel) take(c *Conn) {
	if c.due == 0 || c.due == struck {
		c.due = 0
		return
	}
	if c.prev != nil {
		c.prev.next = c.next
	} else {
		w.slots[c.due%spokes] = c.next
	}
	if c.next != nil {
		c.next.prev = c.prev
	}
	c.due, c.next, c.prev = 0, nil, nil
	w.armed--
}

// turn unlinks what is due and appends it. It also tells how long to sleep.
func (w *wheel) turn(due []*Conn) ([]*Conn, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	now := uint32(time.Since(w.began) / resolution)
	for tick, last := w.past+1, min(now, w.past+spokes); tick <= last; tick++ {
		for c := w.slots[tick%spokes]; c != nil; {
			next := c.next
			if c.due <= now {
				w.take(c)
				c.due = struck
				due = append(due, c)
			}
			c = next
		}
	}
	w.past = max(w.past, now)
	w.wakes = w.next()
	if w.wakes == struck {
		return due, forever
	}
	return due, time.Until(w.began.Add(time.Duration(w.wakes) * resolution))
}

// next is the first tick with timers, those that are passed over included; w.mu is held.
func (w *wheel) next() uint32 {
	if w.armed == 0 {
		return struck
	}
	tick := w.past + 1
	for w.slots[tick%spokes] == nil {
		tick++
	}
	return tick
}
