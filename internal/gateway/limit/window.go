package limit

import "time"

// slots is into how many parts a window is cut. The oldest counts whole, so that the limit is never passed; a request comes back at most
// one slot late for it.
const slots = 16

// window counts requests by the part of the time they came in.
type window struct {
	width  int64 // nanoseconds of a slot
	latest int64 // number of the slot that is counted in
	sum    int64
	counts [slots + 1]uint32
}

// slide counts requests in the last per nanoseconds, rounded up to slots.
func (r *rule) slide(e *entry, now int64) Verdict {
	w := r.open(e, now)
	end := (w.latest + 1) * w.width
	if w.sum >= r.burst {
		return Verdict{Retry: time.Duration(w.free() - now), Reset: time.Duration(max(0, e.full-now))}
	}
	w.counts[w.latest%(slots+1)]++
	w.sum++
	e.full = end + slots*w.width
	return Verdict{OK: true, Remaining: int(r.burst - w.sum), Reset: time.Duration(e.full - now)}
}

// slideBack undoes the last count.
func (r *rule) slideBack(e *entry, now int64) {
	w := r.open(e, now)
	if c := &w.counts[w.latest%(slots+1)]; *c > 0 {
		*c--
		w.sum--
	}
}

// open moves the window to now.
func (r *rule) open(e *entry, now int64) *window {
	width := max(1, (r.per+slots-1)/slots)
	if e.window == nil || e.window.width != width {
		e.window = &window{width: width, latest: now / width}
	}
	w := e.window
	latest := now / width
	for n := min(latest-w.latest, slots+1); n > 0; n-- {
		c := &w.counts[(latest-n+1)%(slots+1)]
		w.sum -= int64(*c)
		*c = 0
	}
	w.latest = max(w.latest, latest)
	return w
}

// free is when the oldest slot with a count leaves the window.
func (w *window) free() int64 {
	for age := int64(slots); age > 0; age-- {
		if n := w.latest - age; n >= 0 && w.counts[n%(slots+1)] > 0 {
			return (n + slots + 1) * w.width
		}
	}
	return (w.latest + slots + 1) * w.width
}
