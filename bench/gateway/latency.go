package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// pace is an open loop at a share of the requests a second that headrace reaches in 1, and what is measured with it.
type pace struct {
	share                                                        float64
	rate, added50, added99, through50, through99, busy, direct99 *figure
}

var (
	half    = newPace(1./2, "half load", "0.4", "0.2")
	quarter = newPace(1./4, "a quarter", "", "")
	eighth  = newPace(1./8, "an eighth", "", "")
)

func newPace(share float64, name, least, aim string) *pace {
	row := func(text string) *figure { return &figure{name: fmt.Sprintf("– %s (%s)", text, name)} }
	p := &pace{
		share: share, rate: &figure{name: fmt.Sprintf("6. open loop, %s (requests/s)", name)},
		added50: row("added latency p50, ms"), added99: row("added latency p99, ms"), through50: row("the latency itself, p50, ms"), through99: row("the latency itself, p99, ms"),
		busy: row("both cores in use, %"), direct99: row("p99 without a proxy in the same turns, ms"),
	}
	p.added99.least, p.added99.aim = least, aim
	return p
}

func (p *pace) figures() []*figure {
	return []*figure{p.rate, p.added50, p.added99, p.through50, p.through99, p.busy, p.direct99}
}

// of is the load in requests a second; where 1 has not run, of a rate that most machines reach.
func (p *pace) of(b *bench) float64 {
	if rate, ok := b.median(smallRate, own); ok {
		return rate * p.share
	}
	return 50_000 * p.share
}

// steadily asks in an open loop.
func steadily(ctx context.Context, r request, rate float64, d time.Duration) (*load.Histogram, error) {
	plan := r.plan(connections)
	plan.Duration = d
	result, err := load.Open(ctx, rate, plan)
	if err != nil {
		return nil, err
	}
	if result.Error != nil {
		return nil, fmt.Errorf("%d of %d failed: %w", result.Failed, result.Done+result.Failed, result.Error)
	}
	return &result.Latency, nil
}

// latency is scenario 6: at each pace all contenders by turns, and between them the upstream itself.
func (b *bench) latency(ctx context.Context, all []*contender) {
	var servers []*server
	for _, c := range all {
		if !c.takes("latency") {
			continue
		}
		s, err := b.start(ctx, c)
		if err == nil {
			defer s.stop()
			_, _, err = b.closedLoop(ctx, s, s.small(), b.warm)
		}
		if b.conclude(c, err, half.added99, quarter.added99, eighth.added99); err == nil {
			servers = append(servers, s)
		}
	}
	for _, p := range []*pace{half, quarter, eighth} {
		b.paced(ctx, p, servers)
	}
}

// paced notes the latencies at a pace. The windows are short, so that a machine that is stopped for a moment spoils few of them.
func (b *bench) paced(ctx context.Context, p *pace, servers []*server) {
	rate := p.of(b)
	servers = slices.DeleteFunc(slices.Clone(servers), func(s *server) bool {
		most, ok := b.median(smallRate, s.title)
		slow := ok && s.title != own && most < rate*1.1
		if slow {
			b.say(p.added50, s.title, "too slow")
			b.say(p.added99, s.title, "too slow")
		}
		return slow
	})
	for range b.laps {
		straight, err := steadily(ctx, b.upstream.small(), rate, b.open)
		if err != nil {
			b.remark("6 without a proxy: %v", err)
			return
		}
		servers = slices.DeleteFunc(servers, func(s *server) bool {
			use := rig.Use()
			through, err := steadily(ctx, s.small(), rate, b.open)
			if err != nil {
				b.conclude(s.contender, err, p.added50, p.added99)
				return true
			}
			b.note(p.rate, s.title, rate)
			b.note(p.busy, s.title, 100*use())
			b.note(p.added50, s.title, milli(through.Percentile(50)-straight.Percentile(50)))
			b.note(p.added99, s.title, milli(through.Percentile(99)-straight.Percentile(99)))
			b.note(p.through50, s.title, milli(through.Percentile(50)))
			b.note(p.through99, s.title, milli(through.Percentile(99)))
			b.note(p.direct99, s.title, milli(straight.Percentile(99)))
			return false
		})
	}
}
