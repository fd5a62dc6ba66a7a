package main

import (
	"context"
	"fmt"
	"time"

	"github.com/headrace/headrace/bench/load"
)

// mergePairs is how often one and merged are compared: where the system puts the processes changes every few seconds.
const mergePairs = 31

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
		one, all, bare, bareOne, bareAll *figure
		path                             string
	}{
		{mergeNow, oneNow, allNow, bareNow, bareOneNow, bareAllNow, "/small"},
		{mergeLate, oneLate, allLate, bareLate, bareOneLate, bareAllLate, "/wait"},
	} {
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
			upstreams := append([]address{s.Upstream}, s.Others...)
			if one, err = b.aside(upstreams[:1], part.path); err != nil {
				return err
			}
			if all, err = b.aside(upstreams, part.path); err != nil {
				return err
			}
			b.note(part.bareOne, c.title, milli(one))
			b.note(part.bareAll, c.title, milli(all))
			b.note(part.bare, c.title, float64(all)/float64(one))
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

// aside is the median latency of a client that asks upstreams itself, all at once, and waits for the last answer.
func (b *bench) aside(upstreams []address, path string) (time.Duration, error) {
	conns, requests := make([]*load.Conn, len(upstreams)), make([][]byte, len(upstreams))
	for i, addr := range upstreams {
		conn, err := load.Dial(string(addr))
		if err != nil {
			return 0, err
		}
		defer conn.Close()
		conns[i], requests[i] = conn, request{addr: addr, path: path}.text()
	}
	var latency load.Histogram
	for start := time.Now(); time.Since(start) < b.merges/mergePairs; {
		begun := time.Now()
		for i, conn := range conns {
			if _, err := conn.Write(requests[i]); err != nil {
				return 0, err
			}
		}
		for _, conn := range conns {
			status, body, err := conn.Answer()
			if err != nil {
				return 0, err
			}
			if status != 200 {
				return 0, fmt.Errorf("%s: status %d: %.200q", path, status, body)
			}
		}
		latency.Record(time.Since(begun))
	}
	return latency.Percentile(50), nil
}
