package main

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/bench/load"
)

// pace is an open loop and what is measured with it.
type pace struct {
	share                                                  float64 // of the requests a second that are reached in 1
	each                                                   bool    // by the contender itself; else by headrace
	rate, added50, added99, through50, through99, direct99 *figure
}

var (
	half = &pace{
		share: 1. / 2, rate: &figure{name: "6. open loop, half load (requests/s)"},
		added50: &figure{name: "– added latency p50 (ms)"}, added99: &figure{name: "– added latency p99 (ms)", least: "0.4", aim: "0.2"},
		through50: &figure{name: "– the latency itself, p50 (ms)"}, through99: &figure{name: "– the latency itself, p99 (ms)"},
		direct99: &figure{name: "– p99 without a proxy, beside it (ms)"},
	}
	fair = &pace{
		share: 1. / 2, each: true, rate: &figure{name: "– open loop, half of what each reaches (requests/s)"},
		added50: &figure{name: "– added latency p50 (ms; half of its own)"}, added99: &figure{name: "– added latency p99 (ms; half of its own)"},
		through50: &figure{name: "– the latency itself, p50 (ms; half of its own)"}, through99: &figure{name: "– the latency itself, p99 (ms; half of its own)"},
		direct99: &figure{name: "– p99 without a proxy, beside it (ms; half of its own)"},
	}
	light = &pace{
		share: 1. / 8, rate: &figure{name: "– open loop, an eighth (requests/s)"},
		added50: &figure{name: "– added latency p50 (ms; an eighth)"}, added99: &figure{name: "– added latency p99 (ms; an eighth)"},
		through50: &figure{name: "– the latency itself, p50 (ms; an eighth)"}, through99: &figure{name: "– the latency itself, p99 (ms; an eighth)"},
		direct99: &figure{name: "– p99 without a proxy, beside it (ms; an eighth)"},
	}
)

// of is the load of a contender in requests a second; where 1 has not run, of a rate that most machines reach.
func (p *pace) of(b *bench, title string) float64 {
	titles := b.contenders
	if p.each {
		titles = []string{title}
	}
	for _, title := range titles {
		if rate, ok := b.median(smallRate, title); ok {
			return rate * p.share
		}
	}
	return 20_000 * p.share
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

// latency is scenario 6.
func (b *bench) latency(ctx context.Context, c *contender) error {
	s, err := b.start(ctx, c)
	if err != nil {
		return err
	}
	defer s.stop()
	if _, _, err := b.closedLoop(ctx, s, s.small(), b.warm); err != nil {
		return err
	}
	for _, p := range []*pace{half, fair, light} {
		if err := b.paced(ctx, s, p); err != nil {
			return err
		}
	}
	return nil
}

// paced notes the latencies at a load. The windows are short, so that a machine that is stopped for a moment spoils few of them.
func (b *bench) paced(ctx context.Context, s *server, p *pace) error {
	title := s.title
	rate := p.of(b, title)
	b.note(p.rate, title, rate)
	if most, ok := b.median(smallRate, title); ok && title != own && !p.each && most < rate*1.1 {
		b.say(p.added50, title, "too slow")
		b.say(p.added99, title, "too slow")
		return nil
	}
	for range b.pairs {
		straight, err := steadily(ctx, b.upstream.small(), rate, b.open)
		if err != nil {
			return err
		}
		through, err := steadily(ctx, s.small(), rate, b.open)
		if err != nil {
			return err
		}
		b.note(p.added50, title, milli(through.Percentile(50)-straight.Percentile(50)))
		b.note(p.added99, title, milli(through.Percentile(99)-straight.Percentile(99)))
		b.note(p.through50, title, milli(through.Percentile(50)))
		b.note(p.through99, title, milli(through.Percentile(99)))
		b.note(p.direct99, title, milli(straight.Percentile(99)))
	}
	return nil
}
