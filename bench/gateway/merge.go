package main

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/bench/load"
)

// mergePairs is how often one and merged are compared: where the system puts the processes changes every few seconds.
const mergePairs = 15

// merge is scenario 9: one answer made of three, against one that is passed on.
func (b *bench) merge(ctx context.Context, c *contender) error {
	merging := *c
	merging.files, merging.argv = []string{"headrace-merge.yaml"}, []string{c.argv[0], "run", "--config", "{{.Dir}}/headrace-merge.yaml"}
	s, err := b.prepare(&merging)
	if err != nil {
		return err
	}
	for _, name := range []string{"two", "three"} {
		other, err := serve(ctx, name)
		if err != nil {
			return err
		}
		defer other.stop()
		s.Others = append(s.Others, other.Plain)
	}
	s.Merged = []string{"/small", "/wait"}
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.run(ctx, b.token); err != nil {
		return err
	}
	defer s.stop()
	for _, part := range []struct {
		*figure
		one, all *figure
		path     string
	}{{mergeNow, oneNow, allNow, "/small"}, {mergeLate, oneLate, allLate, "/wait"}} {
		for range mergePairs {
			one, err := b.alone(ctx, s, part.path)
			if err != nil {
				return err
			}
			all, err := b.alone(ctx, s, "/merged"+part.path)
			if err != nil {
				return err
			}
			b.note(part.one, c.title, milli(one))
			b.note(part.all, c.title, milli(all))
			b.note(part.figure, c.title, float64(all)/float64(one))
		}
	}
	return nil
}

// alone is the median latency of one client.
func (b *bench) alone(ctx context.Context, s *server, path string) (time.Duration, error) {
	r := request{addr: s.Plain, path: path}
	plan := r.plan(1)
	plan.Duration = b.merges / mergePairs
	plan.Check = func(_, status int, body []byte, _, _ time.Time) error {
		if status != 200 || len(body) < 100 {
			return fmt.Errorf("%s: status %d: %.200q", path, status, body)
		}
		return nil
	}
	result, err := load.Closed(ctx, plan)
	if err != nil {
		return 0, err
	}
	return result.Latency.Percentile(50), result.Error
}
