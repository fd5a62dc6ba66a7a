package history

import (
	"time"

	"github.com/centrifugal/protocol"
)

// ring holds the newest publications of a channel, without a hole, up to the last one that was delivered.
type ring struct {
	entries []entry
	start   int  // index of the oldest one
	bytes   int  // of all entries
	whole   bool // what is older is nowhere
}

type entry struct {
	publication *protocol.Publication
	bytes       int
	at          time.Time // when it was stored
}

// overhead is what an entry costs besides its publication's bytes.
const overhead = 200

func (r *ring) len() int { return len(r.entries) - r.start }

func (r *ring) list() []entry { return r.entries[r.start:] }

// push adds the next publication.
func (r *ring) push(e entry) {
	if r.start > 0 && len(r.entries) == cap(r.entries) {
		n := copy(r.entries, r.entries[r.start:])
		clear(r.entries[n:])
		r.entries, r.start = r.entries[:n], 0
	}
	r.entries = append(r.entries, e)
	r.bytes += e.bytes
}

// pop forgets the oldest publication.
func (r *ring) pop() {
	e := &r.entries[r.start]
	r.bytes -= e.bytes
	*e = entry{}
	if r.start++; r.start == len(r.entries) {
		r.entries, r.start = r.entries[:0], 0
	}
}

// trim forgets what is beyond count and bytes, and what is not kept any more: older than age or more than size.
func (r *ring) trim(o *Options, now time.Time) {
	for r.len() > o.Size || r.len() > 0 && expired(r.list()[0].at, o.Age, now) {
		r.pop()
	}
	for r.len() > o.Ring || r.bytes > o.Memory/8 && r.len() > 0 {
		r.pop()
		r.whole = false
	}
}

// between are the publications with offsets from low to high that were stored after a time, oldest first.
func (r *ring) between(low, high uint64, after time.Time) []*protocol.Publication {
	list := r.list()
	for len(list) > 0 && !list[0].at.After(after) {
		list = list[1:]
	}
	if len(list) == 0 || low > high {
		return nil
	}
	first := list[0].publication.Offset
	last := first + uint64(len(list)) - 1
	low, high = max(low, first), min(high, last)
	if low > high {
		return nil
	}
	found := make([]*protocol.Publication, 0, high-low+1)
	for _, e := range list[low-first : high-first+1] {
		found = append(found, e.publication)
	}
	return found
}

func expired(at time.Time, age time.Duration, now time.Time) bool { return !now.Before(at.Add(age)) }

// prepend adds what was read from the stream up to offset last, as far as it is older than what the ring has.
func (r *ring) prepend(older []entry, last uint64) {
	next := last + 1
	if r.len() > 0 {
		next = r.list()[0].publication.Offset
	}
	for len(older) > 0 && older[len(older)-1].publication.Offset >= next {
		older = older[:len(older)-1]
	}
	for i := len(older) - 1; i >= 0; i-- { // only what has no hole
		if next--; older[i].publication.Offset != next {
			older = older[i+1:]
			break
		}
	}
	all := append(append(make([]entry, 0, len(older)+r.len()), older...), r.list()...)
	for _, e := range older {
		r.bytes += e.bytes
	}
	r.entries, r.start = all, 0
}
