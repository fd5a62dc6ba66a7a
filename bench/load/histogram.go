package load

import (
	"math/bits"
	"time"
)

// fine is the number of equal steps in each power of two: 128 keep the error of a percentile below 0.8 %.
const fine = 128

// Histogram counts durations in steps that grow with their size. Its zero value is empty and ready; it is not safe for
// concurrent use: give each connection its own and Merge them.
type Histogram struct {
	counts [58 * fine]uint64
	total  uint64
	max    time.Duration
}

// Record counts one duration; a negative one counts as 0.
func (h *Histogram) Record(d time.Duration) {
	d = max(d, 0)
	h.counts[step(uint64(d))]++
	h.total++
	h.max = max(h.max, d)
}

// Merge adds what other has counted.
func (h *Histogram) Merge(other *Histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.max = max(h.max, other.max)
}

// Count is the number of durations recorded.
func (h *Histogram) Count() uint64 { return h.total }

// Max is the longest duration recorded, exactly.
func (h *Histogram) Max() time.Duration { return h.max }

// Percentile is the duration that p percent (0 to 100) do not exceed, at most 0.8 % too long; 0 if nothing was recorded.
func (h *Histogram) Percentile(p float64) time.Duration {
	if h.total == 0 {
		return 0
	}
	rank := max(uint64(p/100*float64(h.total)+0.5), 1)
	var seen uint64
	for i, n := range h.counts {
		if seen += n; seen >= rank {
			return min(upper(i), h.max)
		}
	}
	return h.max
}

// step is the index of the step that holds v nanoseconds.
func step(v uint64) int {
	if v < fine {
		return int(v)
	}
	shift := bits.Len64(v) - bits.Len64(fine)
	return (shift+1)*fine + int(v>>shift) - fine
}

// upper is the longest duration that step i holds.
func upper(i int) time.Duration {
	if i < fine {
		return time.Duration(i)
	}
	shift := i/fine - 1
	return time.Duration((uint64(i%fine)+fine+1)<<shift - 1)
}
