package balance

import (
	"sync/atomic"
	"time"
)

// classes are the labels of requests by their status; none is a request without an answer.
var classes = [...]string{"none", "1xx", "2xx", "3xx", "4xx", "5xx"}

// bounds are those of the histogram of the time that requests take.
var bounds = [...]time.Duration{500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond,
	25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second,
	2500 * time.Millisecond, 5 * time.Second, 10 * time.Second}

// load counts the requests of one address. It is shared by the targets that have the address one after the other, as configurations change.
type load struct {
	requests [len(classes)]atomic.Uint64
	failures atomic.Uint64
	times    [len(bounds) + 1]atomic.Uint64
	sum      atomic.Int64 // nanoseconds
	users    int          // targets; guarded by the record
	_        [64]byte     // addresses do not share a cache line
}

func (l *load) count(failed bool, status int, took time.Duration) {
	class := 0
	if status >= 100 && status < 600 {
		class = status / 100
	}
	l.requests[class].Add(1)
	if failed {
		l.failures.Add(1)
	}
	b := 0
	for b < len(bounds) && took > bounds[b] {
		b++
	}
	l.times[b].Add(1)
	l.sum.Add(int64(took))
}

// totals is a sum of loads at one time.
type totals struct {
	requests [len(classes)]uint64
	failures uint64
	times    [len(bounds) + 1]uint64
	sum      time.Duration
}

func (t *totals) add(l *load) {
	for i := range l.requests {
		t.requests[i] += l.requests[i].Load()
	}
	t.failures += l.failures.Load()
	for i := range l.times {
		t.times[i] += l.times[i].Load()
	}
	t.sum += time.Duration(l.sum.Load())
}

// all is the number of requests that have ended.
func (t *totals) all() (n uint64) {
	for _, c := range t.requests {
		n += c
	}
	return n
}
