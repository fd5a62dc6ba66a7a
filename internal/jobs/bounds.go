package jobs

import (
	"math"
	"sync"
)

// bounds are what is known of the ended jobs in the index without reading it, which the retention would have to do from end to end every time.
// They hold whatever becomes of a job: there are at most so many, and none needs a lower message.
type bounds struct {
	mu     sync.Mutex
	counts map[shelf]int // at most so many jobs; one that is missing is not known
	lowest uint64        // message of the journal; MaxUint64 if no job needs any
	looked bool          // lowest is known
	among  int           // jobs that there were when lowest was looked for
	gone   int           // jobs that were deleted since
}

// shelf is the ended jobs of a queue and a state.
type shelf struct {
	queue string
	state State
}

// slack is the share of the kept jobs, one in so many, that may be too many, or may have gone, before the index is read again. What takes no
// more than a stride is exact.
const slack = 8

// added takes note of rows after they were written: who has begun to read the index before that may not have seen them.
func (b *bounds) added(rows []row) {
	b.mu.Lock()
	defer b.mu.Unlock()
	last, n := shelf{}, 0
	for i := range rows {
		r := &rows[i]
		if r.Finished.IsZero() {
			continue
		}
		if r.seq > 0 {
			b.lowest = min(b.lowest, r.seq)
		}
		if at := (shelf{r.Queue, r.state}); at != last {
			b.count(last, n)
			last, n = at, 0
		}
		n++
	}
	b.count(last, n)
}

func (b *bounds) count(at shelf, n int) {
	if before, known := b.counts[at]; known {
		b.counts[at] = before + n
	}
}

// within tells whether there are no more than so many jobs, or too few more to look.
func (b *bounds) within(at shelf, most int) bool {
	if most > stride {
		most += most / slack
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	n, known := b.counts[at]
	return known && n <= most
}

// counting begins to count anew: what is added from now on comes to what counted will say.
func (b *bounds) counting(at shelf) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.counts == nil {
		b.counts = map[shelf]int{}
	}
	b.counts[at] = 0
}

// counted is the end of it: there were at most n. Below 0 nobody knows.
func (b *bounds) counted(at shelf, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n < 0 {
		delete(b.counts, at)
		return
	}
	b.counts[at] += n
}

// deleted takes note of jobs that are there no more.
func (b *bounds) deleted(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.gone += n
}

// floor is the lowest message that a job needs. It is not known if so many jobs have gone that it may be far below.
func (b *bounds) floor() (seq uint64, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lowest, b.looked && b.gone <= b.among/slack
}

// looking begins to look for the lowest message: that of what is added from now on comes to what found will say.
func (b *bounds) looking() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looked, b.lowest, b.gone = false, math.MaxUint64, 0
}

// found is the end of it, among so many jobs.
func (b *bounds) found(seq uint64, among int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looked, b.lowest, b.among = true, min(b.lowest, seq), among
}

// forget is for an index that is made anew.
func (b *bounds) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.counts, b.looked = nil, false
}
