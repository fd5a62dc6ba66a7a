package main

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/bench/load"
)

// pace is the load of the open loops: half of what headrace does, or, without it, of the first contender that has a rate.
func (b *bench) pace() float64 {
	for _, title := range b.contenders {
		if rate, ok := b.median(smallRate, title); ok {
			return rate / 2
		}
	}
	return 2000
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
	rate := b.pace()
	b.note(load50, c.title, rate)
	if most, ok := b.median(smallRate, c.title); ok && c.title != own && most < rate*1.1 {
		for _, f := range []*figure{added50, added99} {
			b.say(f, c.title, "too slow")
		}
		return nil
	}
	s, err := b.start(ctx, c)
	if err != nil {
		return err
	}
	defer s.stop()
	if _, _, err := b.closedLoop(ctx, s, s.small(), b.warm); err != nil {
		return err
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
		b.note(added50, c.title, milli(through.Percentile(50)-straight.Percentile(50)))
		b.note(added99, c.title, milli(through.Percentile(99)-straight.Percentile(99)))
		b.note(through50, c.title, milli(through.Percentile(50)))
		b.note(through99, c.title, milli(through.Percentile(99)))
	}
	return nil
}
