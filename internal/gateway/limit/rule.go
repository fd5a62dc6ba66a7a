package limit

import (
	"time"

	"github.com/headrace/headrace/internal/config"
)

// rule is a limit as it is counted.
type rule struct {
	interval int64 // nanoseconds in which one request becomes possible
	depth    int64 // interval times the burst
	burst    int64
	batch    int64 // requests that a node takes from the engine at a time
	per      int64 // nanoseconds
	window   bool
	shared   bool
}

const longest = 100 * 366 * 24 * time.Hour

func newRule(c config.Limit) rule {
	n := int64(max(1, c.Rate.N))
	r := rule{per: max(1, int64(c.Rate.Per)), burst: int64(c.Burst), window: c.Algorithm == "sliding_window", shared: c.Shared}
	if r.burst <= 0 || r.window {
		r.burst = n
	}
	r.interval = max(1, r.per/n)
	r.burst = min(r.burst, max(1, int64(longest)/r.interval))
	r.depth = r.interval * r.burst
	r.batch = (r.burst + 19) / 20
	return r
}

// take is the generic cell rate algorithm: full moves one interval on with each request, and may be at most depth ahead of now.
func (r *rule) take(e *entry, now int64) Verdict {
	full := max(e.full, now)
	if ahead := full + r.interval - now; ahead > r.depth {
		return Verdict{Retry: time.Duration(ahead - r.depth), Reset: time.Duration(full - now)}
	}
	e.full = full + r.interval
	ahead := e.full - now
	return Verdict{OK: true, Remaining: int((r.depth - ahead) / r.interval), Reset: time.Duration(ahead)}
}
