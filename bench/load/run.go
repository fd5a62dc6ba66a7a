package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Plan is what a run does. Next and Check are called from many goroutines at once, with a different request each time.
type Plan struct {
	Addr        string                                // host:port
	Connections int                                   // kept open for the whole run
	Requests    int                                   // how many at most; 0 is no limit
	Duration    time.Duration                         // no request begins after it; 0 is no limit
	Next        func(request int, into []byte) []byte // appends the whole request
	Check       func(request, status int, body []byte, begun, ended time.Time) error
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
func Closed(ctx context.Context, plan Plan) (*Result, error) {
	return run(ctx, plan, func(int, time.Time) time.Time { return time.Now() })
}

// Open begins requests at a steady rate (a second) whether or not earlier ones were answered. A latency counts from the moment the
// request was due, so a server that stalls is charged for the wait it causes. Give it connections enough that one is always free.
func Open(ctx context.Context, rate float64, plan Plan) (*Result, error) {
	gap := float64(time.Second) / rate
	return run(ctx, plan, func(request int, start time.Time) time.Time {
		due := start.Add(time.Duration(float64(request) * gap))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		}
		return due
	})
}

// run shares the requests among the connections; pace returns when the request counts as begun.
func run(ctx context.Context, plan Plan, pace func(request int, start time.Time) time.Time) (*Result, error) {
	if plan.Requests == 0 && plan.Duration == 0 {
		return nil, errors.New("load: a plan needs an end: set Requests or Duration")
	}
	conns := make([]*Conn, plan.Connections)
	for i := range conns {
		conn, err := Dial(plan.Addr)
		if err != nil {
			return nil, err
		}
		defer conn.Close()
		conns[i] = conn
	}
	var (
		next    atomic.Int64
		results = make([]Result, len(conns))
		start   = time.Now()
		group   sync.WaitGroup
	)
	for i, conn := range conns {
		group.Go(func() {
			r := &results[i]
			var buffer []byte
			for ctx.Err() == nil {
				request := int(next.Add(1)) - 1
				if plan.Requests > 0 && request >= plan.Requests {
					return
				}
				begun := pace(request, start)
				if plan.Duration > 0 && begun.Sub(start) >= plan.Duration {
					return
				}
				buffer = plan.Next(request, buffer[:0])
				status, body, err := conn.Do(buffer)
				ended := time.Now()
				r.Elapsed = ended.Sub(start)
				broken := err != nil
				if !broken {
					err = plan.Check(request, status, body, begun, ended)
				}
				if err != nil {
					r.Failed++
					if r.Error == nil {
						r.Error = fmt.Errorf("request %d: %w", request, err)
					}
					if broken {
						return
					}
					continue
				}
				r.Done++
				r.Latency.Record(ended.Sub(begun))
			}
		})
	}
	stop := context.AfterFunc(ctx, func() { // wakes the connections that wait for an answer
		for _, conn := range conns {
			_ = conn.Deadline(time.Unix(1, 0))
		}
	})
	defer stop()
	group.Wait()
	total := &Result{}
	for i := range results {
		r := &results[i]
		total.Done += r.Done
		total.Failed += r.Failed
		total.Elapsed = max(total.Elapsed, r.Elapsed)
		total.Latency.Merge(&r.Latency)
		if total.Error == nil {
			total.Error = r.Error
		}
	}
	return total, ctx.Err()
}
