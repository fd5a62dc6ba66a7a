package main

import (
	"context"
	"fmt"
	"time"
)

const (
	meanwhile = 10 // publications at once while the clients are away
	perSecond = 2  // publications before, during and after: each goes to every client
)

// back is scenario 6: all clients lose their connection at once, and come back with recovery while publications go on.
func (b *bench) back(ctx context.Context, c *contender) error {
	if !c.recover {
		for _, f := range []*figure{cutTime, cutShare, killTime, killShare} {
			b.say(f, c.title, "no recovery")
		}
		return nil
	}
	if err := b.lose(ctx, c, cutTime, cutShare, func(_ *server, crowd *crowd) error { return crowd.cut() }); err != nil {
		return err
	}
	if c.title != own {
		for _, f := range []*figure{killTime, killShare} {
			b.say(f, c.title, "history in memory")
		}
		return nil
	}
	return b.lose(ctx, c, killTime, killShare, func(s *server, crowd *crowd) error {
		crowd.leave()
		s.process.kill()
		return s.run(ctx)
	})
}

// lose has all clients lose their connection in the way given, and notes how long until all are back and what share of the publications was
// delivered once. Less than all is an error of headrace, and a figure of a rival.
func (b *bench) lose(ctx context.Context, c *contender, timing, share *figure, cut func(*server, *crowd) error) error {
	s, err := start(ctx, c, "BENCH_RECOVER=1")
	if err != nil {
		return err
	}
	defer s.stop()
	crowd, err := gather(b.returning)
	if err != nil {
		return err
	}
	defer crowd.disperse()
	plan := s.plan(durable, b.returning)
	plan.Recover, plan.Return = true, true
	if _, err := crowd.connect(ctx, plan); err != nil {
		return err
	}
	p, err := s.publisher(durable, small)
	if err != nil {
		return err
	}
	defer func() {
		if p.conn != nil {
			p.close()
		}
	}()
	if err := p.surely(ctx); err != nil {
		return err
	}
	if err := crowd.reach(ctx, p.n); err != nil {
		return err
	}

	// From here on another goroutine publishes.
	publishing, halt := context.WithCancel(ctx)
	defer halt()
	away, stop := make(chan struct{}), make(chan struct{})
	done := make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second / perSecond)
		defer tick.Stop()
		for {
			count := 1
			select {
			case <-tick.C:
			case <-away:
				count, away = meanwhile, nil
			case <-stop:
				done <- nil
				return
			}
			for range count {
				if err := p.surely(publishing); err != nil {
					done <- err
					return
				}
			}
		}
	}()
	took, err := func() (time.Duration, error) {
		if err := pass(ctx, time.Second); err != nil {
			return 0, err
		}
		begun := time.Now()
		close(away)
		if err := cut(s, crowd); err != nil {
			return 0, err
		}
		if _, err := crowd.back(ctx); err != nil {
			return 0, err
		}
		return time.Since(begun), pass(ctx, 2*time.Second) // what is published now comes to all without recovery
	}()
	if close(stop); err != nil {
		halt()
	}
	if failure := <-done; err == nil {
		err = failure
	}
	if err != nil {
		return err
	}
	if err := crowd.reach(ctx, p.n); err != nil {
		return err
	}
	t, err := crowd.count(ctx)
	if err != nil {
		return err
	}
	due := b.returning * p.n
	if missed := t.Missing + t.Repeated + t.Behind; c.title == own && (missed > 0 || t.Received != due || t.Unrecovered > 0) {
		return fmt.Errorf("%d clients back with %d of %d publications: %d missing, %d repeated, %d subscriptions not recovered",
			t.Connections, t.Received, due, t.Missing, t.Repeated, t.Unrecovered)
	}
	b.note(timing, c.title, took.Seconds())
	b.note(share, c.title, 100*float64(t.Received-t.Repeated)/float64(due))
	if t.Repeated > 0 || t.Unrecovered > 0 {
		b.say(share, c.title, fmt.Sprintf("%d repeated, %d clients told to start anew", t.Repeated, t.Unrecovered))
	}
	return nil
}
