package load

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Plan is what a run does. Next and Check are called from many goroutines at once, with a different request each time; requests are
// numbered from 0 without gaps.
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
func Closed(ctx context.Context, plan Plan) (*Result, error) { return run(ctx, plan, 0) }

// Open begins requests at a steady rate (a second) whether or not earlier ones were answered. A latency counts from the moment the
// request was due, so a server that stalls is charged for the wait it causes. Give it connections enough that one is always free.
func Open(ctx context.Context, rate float64, plan Plan) (*Result, error) {
	return run(ctx, plan, time.Duration(float64(time.Second)/rate))
}

// tick sends one token when each request is due, and closes the channel after the last. It sleeps in the system because the timers
// of the runtime wake up to a millisecond late, which is more than what is measured.
func tick(ctx context.Context, plan Plan, gap time.Duration, start time.Time) <-chan struct{} {
	due := make(chan struct{}, 1<<16)
	go func() {
		defer close(due)
		for request := 0; plan.Requests == 0 || request < plan.Requests; request++ {
			begin := time.Duration(request) * gap
			if plan.Duration > 0 && begin >= plan.Duration {
				return
			}
			if wait := begin - time.Since(start); wait > 0 {
				nap := syscall.NsecToTimespec(int64(wait))
				_ = syscall.Nanosleep(&nap, nil) // woken early by a signal, the request begins a little early
			}
			select {
			case due <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
	}()
	return due
}

// run shares the requests among the connections; a gap of 0 is a closed loop.
func run(ctx context.Context, plan Plan, gap time.Duration) (*Result, error) {
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
	var due <-chan struct{}
	if gap > 0 {
		due = tick(ctx, plan, gap, start)
	}
	for i, conn := range conns {
		group.Go(func() {
			r := &results[i]
			var buffer []byte
			for ctx.Err() == nil {
				if due != nil {
					if _, ok := <-due; !ok {
						return
					}
				}
				begun := time.Now()
				if due == nil && plan.Duration > 0 && begun.Sub(start) >= plan.Duration {
					return
				}
				request := int(next.Add(1)) - 1
				if due != nil {
					begun = start.Add(time.Duration(request) * gap)
				} else if plan.Requests > 0 && request >= plan.Requests {
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
