package load

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Plan is what a run does. Next and Check are called by one thread, which also waits for the connections: what they take is taken from the
// load. Requests are numbered from 0 without gaps.
type Plan struct {
	Addr        string                                // host:port
	Connections int                                   // kept open for the whole run
	Requests    int                                   // how many at most; 0 is no limit
	Duration    time.Duration                         // no request begins after it; 0 is no limit
	Next        func(request int, into []byte) []byte // appends the whole request
	Check       func(request, status int, body []byte, begun, ended time.Time) error

	// Prompt has the thread go before all others (SCHED_FIFO), if the system allows it: where something else takes all cores, what the load
	// waits for one is no latency of the server. For low rates: at high ones, waking for every single answer is load of its own.
	Prompt bool
}

// Result is what a run saw.
type Result struct {
	Done    int           // answers that Check accepted
	Failed  int           // answers it refused, and broken connections
	Error   error         // the first failure
	Elapsed time.Duration // first request begun to last answer
	Latency Histogram     // of the accepted
}

// Rate is accepted answers a second.
func (r *Result) Rate() float64 { return float64(r.Done) / r.Elapsed.Seconds() }

// Closed keeps one request under way on every connection: the rate is what the server can do.
func Closed(ctx context.Context, plan Plan) (*Result, error) { return run(ctx, plan, 0) }

// Open begins requests at a steady rate (a second) whether or not earlier ones were answered. A latency counts from the moment the
// request was due, so a server that stalls is charged for the wait it causes. Give it connections enough that one is always free.
func Open(ctx context.Context, rate float64, plan Plan) (*Result, error) {
	return run(ctx, plan, time.Duration(float64(time.Second)/rate))
}

// run shares the requests among the connections; a gap of 0 is a closed loop.
func run(ctx context.Context, plan Plan, gap time.Duration) (*Result, error) {
	if plan.Requests == 0 && plan.Duration == 0 {
		return nil, errors.New("load: a plan needs an end: set Requests or Duration")
	}
	l, err := open(plan)
	if err != nil {
		return nil, err
	}
	defer l.close()
	start := time.Now()
	for next := 0; ; {
		wait := cancelled
		for len(l.idle) > 0 {
			passed := time.Since(start)
			at := passed
			if gap > 0 {
				at = time.Duration(next) * gap
			}
			if (plan.Requests > 0 && next >= plan.Requests) || (plan.Duration > 0 && at >= plan.Duration) {
				if len(l.idle) == l.alive {
					return l.result, ctx.Err()
				}
				break
			}
			if at > passed {
				wait = min(wait, at-passed)
				break
			}
			l.begin(next, start.Add(at))
			next++
		}
		if ctx.Err() != nil {
			return l.result, ctx.Err()
		}
		if l.alive == 0 {
			return l.result, nil
		}
		if err := l.wait(wait, start); err != nil {
			return l.result, fmt.Errorf("load: %w", err)
		}
	}
}

// cancelled is how long a run may take to see that its context has ended.
const cancelled = 50 * time.Millisecond
