package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// reload is scenario 10.
func (b *bench) reload(ctx context.Context, c *contender) error {
	return b.changing(ctx, c, reloaded, func(ctx context.Context, s *server) error {
		for range b.reloads {
			if err := errors.Join(s.change(ctx), pass(ctx, 50*time.Millisecond)); err != nil {
				return err
			}
		}
		return nil
	})
}

// replace is scenario 11.
func (b *bench) replace(ctx context.Context, c *contender) error {
	return b.changing(ctx, c, replaced, func(ctx context.Context, s *server) error {
		last := (*server)(nil)
		defer func() {
			if last != nil {
				last.stop()
			}
		}()
		for i := range b.replacements {
			next, err := serve(ctx, strconv.Itoa(i))
			if err != nil {
				return err
			}
			old := last
			last, s.Upstream = next, next.Plain
			if err := s.change(ctx); err != nil {
				return err
			}
			if err := pass(ctx, 100*time.Millisecond); err != nil {
				return err
			}
			if old == nil {
				continue // the upstream that the others still need
			}
			if err := old.Signal(syscall.SIGTERM); err != nil {
				return err
			}
			if err := old.Wait(5 * time.Second); err != nil {
				old.stop()
				return err
			}
		}
		// Back to the first, so that the last one may end.
		s.Upstream = b.upstream.Plain
		return s.change(ctx)
	})
}

// changing changes the configuration of a server under load and counts the requests that fail.
func (b *bench) changing(ctx context.Context, c *contender, f *figure, changes func(context.Context, *server) error) error {
	changed := *c
	changed.files, changed.argv = []string{"headrace-change.yaml"}, []string{c.argv[0], "run", "--config", "{{.Dir}}/headrace-change.yaml"}
	s, err := b.start(ctx, &changed)
	if err != nil {
		return err
	}
	defer s.stop()
	var result *load.Result
	loading, halt := context.WithCancel(ctx)
	defer halt()
	done := make(chan error, 1)
	go func() {
		plan := s.small().plan(connections)
		plan.Duration = 2 * time.Minute
		var err error
		result, err = load.Open(loading, half.of(b), plan)
		done <- err
	}()
	err = changes(ctx, s)
	halt()
	if failure := <-done; err == nil && !errors.Is(failure, context.Canceled) {
		err = failure
	}
	if err != nil {
		return err
	}
	b.note(f, c.title, float64(result.Failed))
	b.remark("%s: %d requests, %d failed, longest %v.", f.name, result.Done+result.Failed, result.Failed, result.Latency.Max().Round(time.Millisecond/10))
	if result.Error != nil {
		b.remark("%s: the first failure: %v", f.name, result.Error)
	}
	return nil
}

// change writes the next configuration, has it read, and waits until it is in effect.
func (s *server) change(ctx context.Context) error {
	s.Generation++
	if err := s.configure(); err != nil {
		return err
	}
	if err := s.Signal(syscall.SIGHUP); err != nil {
		return err
	}
	conn, err := load.Dial(string(s.Plain))
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.Deadline(time.Now().Add(10 * time.Second))
	asking := request{addr: s.Plain, path: fmt.Sprintf("/generation/%d", s.Generation)}.text()
	return rig.Poll(ctx, 5*time.Second, 2*time.Millisecond, fmt.Sprintf("changed for the %dth time", s.Generation), func() (bool, error) {
		_, body, err := conn.Do(asking)
		return err == nil && string(body) == strconv.Itoa(s.Generation), err
	})
}
