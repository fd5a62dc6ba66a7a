package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// sizes is how much each scenario does.
type sizes struct {
	repeat   int
	kills    int            // repetitions of scenarios 5 and 6, which vary more
	like     bool           // also with like durability
	jobs     map[string]int // jobs of scenario 1 by contender
	seconds  time.Duration  // of each timed scenario
	patience time.Duration  // for a killed worker's job to run again
	upload   int            // bytes
}

// endToEnd is scenario 1: jobs enqueued in bulk, run, result recorded. It returns the rate.
func (b *bout) endToEnd(ctx context.Context, figure string) (float64, error) {
	first, count := b.next, b.sizes.jobs[b.name()]
	servers, client := cpu(b.servers()), cpu(b.client())
	start := time.Now()
	if err := b.bulk(ctx, first, count); err != nil {
		return 0, err
	}
	b.owe(count)
	if err := b.settle(ctx, 2*time.Minute); err != nil {
		return 0, err
	}
	rate := float64(count) / time.Since(start).Seconds()
	servers, client = cpu(b.servers())-servers, cpu(b.client())-client
	b.note(figure, rate)
	if figure == jobRate {
		b.note(jobCPU, micro(servers)/float64(count))
		b.note(jobCPUClient, micro(servers+client)/float64(count))
		b.note(jobMemory, mega(memory(b.servers())))
	}
	return rate, b.ledger.check(first, count)
}

// singles is scenario 2: one job a request over 256 connections. It returns the rate at which they were enqueued and run.
func (b *bout) singles(ctx context.Context) (float64, error) {
	start := time.Now()
	result, err := b.oneByOne(ctx, load.Closed)
	if err != nil {
		return 0, err
	}
	run := float64(result.Done) / time.Since(start).Seconds()
	b.note(singleRate, result.Rate())
	b.report.percentiles(singleP50, singleP99, b.name(), &result.Latency)
	if result.Rate() < singleGiven {
		b.report.say(givenP50, b.name(), "too slow")
		b.report.say(givenP99, b.name(), "too slow")
		return run, nil
	}
	result, err = b.oneByOne(ctx, func(ctx context.Context, plan load.Plan) (*load.Result, error) {
		return load.Open(ctx, singleGiven, plan)
	})
	if err != nil {
		return 0, err
	}
	b.report.percentiles(givenP50, givenP99, b.name(), &result.Latency)
	return run, nil
}

const (
	singlesAtOnce = 256    // connections
	singleGiven   = 15_000 // requests a second, at which they need not wait for each other
)

// oneByOne enqueues one job a request for a time, waits until all have run, and checks the ledger.
func (b *bout) oneByOne(ctx context.Context, run func(context.Context, load.Plan) (*load.Result, error)) (*load.Result, error) {
	first := b.next
	result, err := run(ctx, load.Plan{
		Addr: b.addr(), Connections: singlesAtOnce, Duration: b.seconds,
		Next:  func(request int, into []byte) []byte { return b.enqueue(into, "noop", first+request) },
		Check: accepted,
	})
	if err = failure(err, result); err != nil {
		return nil, err
	}
	b.owe(result.Done)
	if err := b.settle(ctx, 2*time.Minute); err != nil {
		return nil, err
	}
	return result, b.ledger.check(first, result.Done)
}

// pickup is scenario 3: jobs enqueued one by one at a steady rate, and how long until each began to run. The figures are named
// after prefix: from the moment the request was due, and from its acknowledgement.
func (b *bout) pickup(ctx context.Context, rate float64, prefix string) error {
	first := b.next
	most := int(rate*b.seconds.Seconds()) + 1
	due, acknowledged := make([]time.Duration, most), make([]time.Duration, most)
	result, err := load.Open(ctx, rate, load.Plan{
		Addr: b.addr(), Connections: 64, Requests: most,
		Next: func(request int, into []byte) []byte { return b.enqueue(into, "noop", first+request) },
		Check: func(request, status int, body []byte, begun, ended time.Time) error {
			due[request], acknowledged[request] = monotonic(begun), monotonic(ended)
			return accepted(request, status, body, begun, ended)
		},
	})
	if err = failure(err, result); err != nil {
		return err
	}
	b.owe(most)
	if err := b.settle(ctx, time.Minute); err != nil {
		return err
	}
	if err := b.ledger.check(first, most); err != nil {
		return err
	}
	var fromDue, fromAcknowledged load.Histogram
	for request := range most {
		at := b.ledger.runs[uint64(first+request)][0].at
		fromDue.Record(at - due[request])
		fromAcknowledged.Record(at - acknowledged[request])
	}
	b.note(prefix+pickupRate, rate)
	b.report.percentiles(prefix+pickupP50, prefix+pickupP99, b.name(), &fromDue)
	b.report.percentiles(prefix+pickupAckP50, prefix+pickupAckP99, b.name(), &fromAcknowledged)
	return nil
}

// calls is scenario 4: a request whose answer is the function's result, over 64 connections. Every answer is checked.
func (b *bout) calls(ctx context.Context) error {
	result, err := load.Closed(ctx, load.Plan{
		Addr: b.addr(), Connections: 64, Duration: b.seconds,
		Next: func(request int, into []byte) []byte { return b.call(into, request) },
		Check: func(request, status int, body []byte, _, _ time.Time) error {
			if status != 200 || strings.TrimSpace(string(body)) != strconv.Itoa(request) {
				return fmt.Errorf("call: status %d: %.500s", status, body)
			}
			return nil
		},
	})
	if err = failure(err, result); err != nil {
		return err
	}
	b.note(callRate, result.Rate())
	b.report.percentiles(callP50, callP99, b.name(), &result.Latency)
	b.done, err = b.recorded() // calls of rivals are jobs with results
	return err
}

// burning is scenario 9: a small file at 500 requests a second, before and while every worker burns CPU.
func (b *bout) burning(ctx context.Context) error {
	addr, request := b.static()
	p99 := func() (time.Duration, error) {
		result, err := load.Open(ctx, 500, load.Plan{
			Addr: addr, Connections: 16, Duration: b.seconds, Prompt: true,
			Next: func(_ int, into []byte) []byte { return append(into, request...) },
			Check: func(_, status int, body []byte, _, _ time.Time) error {
				if status != 200 || len(body) != 1024 {
					return fmt.Errorf("static file: status %d, %d bytes", status, len(body))
				}
				return nil
			},
		})
		if err = failure(err, result); err != nil {
			return 0, err
		}
		return result.Latency.Percentile(99), nil
	}
	idle, err := p99()
	if err != nil {
		return err
	}
	if _, err := b.occupy(ctx, "burn"); err != nil {
		return err
	}
	busy, err := p99()
	if err != nil {
		return err
	}
	b.note(staticIdle, milli(idle))
	b.note(staticBusy, milli(busy))
	b.note(staticRatio, float64(busy)/float64(idle))
	return b.release(ctx)
}

// killed is scenario 5: SIGKILL to the process that runs a job, until the job runs in another. It reports
// false if that took too long to be worth another repetition.
func (b *bout) killed(ctx context.Context) (bool, error) {
	if err := os.WriteFile(b.hold, nil, 0o644); err != nil {
		return false, err
	}
	first := b.next
	if err := b.one("hold"); err != nil {
		return false, err
	}
	err := rig.Poll(ctx, 10*time.Second, time.Millisecond, "running", func() (bool, error) {
		err := b.ledger.load()
		return len(b.ledger.runs[uint64(first)]) > 0, err
	})
	if err != nil {
		return false, err
	}
	victim := b.ledger.runs[uint64(first)][0].pid
	at := monotonic(time.Now())
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		return false, err
	}
	var again time.Duration
	err = rig.Poll(ctx, b.patience, 10*time.Millisecond, "run again", func() (bool, error) {
		err := b.ledger.load()
		for _, run := range b.ledger.runs[uint64(first)] {
			if run.pid != victim {
				again = run.at
			}
		}
		return again != 0, err
	})
	if ctx.Err() != nil {
		return false, err
	}
	if again == 0 {
		b.report.say(killRerun, b.name(), b.tooLong())
		return false, nil
	}
	b.note(killRerun, milli(again-at))
	return again-at < 10*time.Second, b.release(ctx)
}

// replaced is scenario 6: the only worker, which has imported pandas, is killed while idle, and a job is enqueued at once. It
// reports false if patience ended.
func (b *bout) replaced(ctx context.Context) (bool, error) {
	if err := b.ledger.load(); err != nil {
		return false, err
	}
	victim := b.ledger.runs[uint64(b.next-1)][0].pid
	index := b.next
	at := monotonic(time.Now())
	if err := syscall.Kill(victim, syscall.SIGKILL); err != nil {
		return false, err
	}
	if err := b.one("noop"); err != nil {
		return false, err
	}
	err := rig.Poll(ctx, b.patience, 2*time.Millisecond, "run", func() (bool, error) {
		err := b.ledger.load()
		return len(b.ledger.runs[uint64(index)]) > 0, err
	})
	if err != nil {
		b.report.say(replacement, b.name(), b.tooLong())
		return false, ctx.Err()
	}
	b.note(replacement, milli(b.ledger.runs[uint64(index)][0].at-at))
	return true, b.settle(ctx, time.Minute)
}

// tooLong is what stands in the table where patience ended.
func (b *bout) tooLong() string { return fmt.Sprintf("> %.0f s", b.patience.Seconds()) }

func accepted(_, status int, body []byte, _, _ time.Time) error {
	if status != 202 {
		return fmt.Errorf("enqueue: status %d: %.500s", status, body)
	}
	return nil
}

// failure is the error of a run or of its first failed request: in a benchmark every request must succeed.
func failure(err error, result *load.Result) error {
	if err != nil {
		return err
	}
	return result.Error
}

func milli(d time.Duration) float64 { return float64(d) / 1e6 }
func micro(d time.Duration) float64 { return float64(d) / 1e3 }
func mega(bytes int) float64        { return float64(bytes) / (1 << 20) }
