package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// sizes is how much each scenario does.
type sizes struct {
	turns        int           // of 1 to 5
	warm, closed time.Duration // of 1 to 5: before, and each window
	laps         int           // turns of 6
	open         time.Duration // each window of 6
	idle         int           // connections of 7
	settle       time.Duration // until their memory is read
	bulk         int64         // bytes of 8
	merges       time.Duration // each part of 9
	reloads      int           // 10
	replacements int           // 11
}

var (
	full = sizes{
		turns: 11, warm: time.Second, closed: 500 * time.Millisecond, laps: 31, open: 250 * time.Millisecond, idle: 10_000, settle: 5 * time.Second, bulk: 2 << 30,
		merges: 4 * time.Second, reloads: 100, replacements: 20,
	}
	short = sizes{
		turns: 1, warm: 200 * time.Millisecond, closed: 400 * time.Millisecond, laps: 1, open: 400 * time.Millisecond, idle: 1000, settle: 500 * time.Millisecond, bulk: 64 << 20,
		merges: 300 * time.Millisecond, reloads: 5, replacements: 2,
	}
)

const (
	connections   = 64 // of closed and open loops
	warmRequests  = 2000
	h2Connections = 16
	h2Streams     = 4
)

// bench runs scenarios and notes figures.
type bench struct {
	*report
	sizes
	wanted   func(scenario string) bool
	token    string
	upstream *server
	broken   bool // headrace failed
}

// run runs all that is wanted.
func (b *bench) run(ctx context.Context, all []*contender) (err error) {
	if b.upstream, err = serve(ctx, "one"); err != nil {
		return err
	}
	defer b.upstream.stop()
	if err := b.direct(ctx); err != nil {
		return err
	}
	var referee *contender
	if i := slices.IndexFunc(all, func(c *contender) bool { return c.title == judge }); i >= 0 && len(all) > 1 {
		referee = all[i]
	}
	for _, c := range all {
		if c != referee { // which is measured beside each of the others
			b.compare(ctx, c, referee)
			fmt.Fprintf(os.Stderr, "1 to 5: %s\n", c.title)
		}
	}
	if b.wanted("latency") {
		b.latency(ctx, all)
	}
	for _, s := range []struct {
		name    string
		run     func(context.Context, *contender) error
		figures []*figure
		mine    bool // headrace alone
	}{
		{"idle", b.parked, []*figure{idlePSS, idleRSS, idleBefore}, false},
		{"bulk", b.stream, []*figure{download, uploaded}, false},
		{"merge", b.merge, []*figure{mergeNow, mergeLate}, true},
		{"reload", b.reload, []*figure{reloaded}, true},
		{"replace", b.replace, []*figure{replaced}, true},
	} {
		if !b.wanted(s.name) {
			continue
		}
		begun := time.Now()
		for _, c := range all {
			if ctx.Err() == nil && (c.title == own || !s.mine) && c.takes(s.name) {
				b.conclude(c, s.run(ctx, c), s.figures...)
			}
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", s.name, time.Since(begun).Seconds())
	}
	return ctx.Err()
}

// conclude marks the figures of a contender that failed.
func (b *bench) conclude(c *contender, err error, figures ...*figure) {
	if err == nil {
		return
	}
	b.broken = b.broken || c.title == own
	b.failed(c.title, err, slices.DeleteFunc(figures, func(f *figure) bool { return f == nil }))
}

// closedLoop runs a closed loop and is the requests a second and the CPU time per request of the server. It counts from when all connections are in
// use, for what they cost is no part of a request.
func (b *bench) closedLoop(ctx context.Context, s *server, r request, d time.Duration) (rate float64, cpu time.Duration, err error) {
	plan := r.plan(connections)
	plan.Duration = d
	const opening = 2 * connections
	var answers int
	var before time.Duration
	var first, last time.Time
	check := plan.Check
	plan.Check = func(request, status int, body []byte, begun, ended time.Time) error {
		if answers++; answers == opening {
			before, first = rig.CPU(s.PID()), time.Now()
		}
		last = ended
		return check(request, status, body, begun, ended)
	}
	result, err := load.Closed(ctx, plan)
	if err != nil {
		return 0, 0, err
	}
	if result.Error != nil {
		return 0, 0, fmt.Errorf("%d of %d failed: %w", result.Failed, result.Done+result.Failed, result.Error)
	}
	counted := answers - opening
	if counted <= 0 {
		return 0, 0, fmt.Errorf("%d answers in %v are too few to be measured", answers, d)
	}
	return float64(counted) / last.Sub(first).Seconds(), (rig.CPU(s.PID()) - before) / time.Duration(counted), nil
}

// direct is what the upstream does without a proxy.
func (b *bench) direct(ctx context.Context) error {
	for _, r := range []struct {
		request
		name string
	}{{b.upstream.small(), "120 bytes"}, {b.upstream.large(), "100 KiB"}} {
		rate, cpu, err := b.closedLoop(ctx, b.upstream, r.request, b.closed)
		if err != nil {
			return fmt.Errorf("directly to the upstream: %w", err)
		}
		b.remark("Without a proxy, %s: %s requests/s; the upstream takes %s µs of CPU for one.", r.name, rig.Digits(rate), rig.Digits(micro(cpu)))
	}
	return nil
}

// pass waits for d.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func milli(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func mega(bytes int) float64        { return float64(bytes) / (1 << 20) }
