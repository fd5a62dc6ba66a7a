package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/headrace/headrace/bench/live/swarm"
	"github.com/headrace/headrace/bench/rig"
)

// sizes is how much each scenario does.
type sizes struct {
	connections int           // of scenarios 1, 2, 3, 4 and 7
	publishing  int           // publications of 2
	bursts      int           // of 100, scenario 3
	idle        time.Duration // 4
	rounds      int           // 7
	rate        time.Duration // 5
	returning   int           // connections of 6
	each        time.Duration // each half of 8
	pairs       int           // of halves
}

var (
	full = sizes{
		connections: 10_000, publishing: 50, bursts: 1, idle: 75 * time.Second, rounds: 2, rate: 10 * time.Second,
		returning: 15_000, each: 2 * time.Second, pairs: 5,
	}
	short = sizes{
		connections: 1_000, publishing: 20, bursts: 2, idle: 2 * time.Second, rounds: 1, rate: time.Second,
		returning: 1_500, each: time.Second, pairs: 1,
	}
)

const (
	burst      = 100
	small      = 100     // bytes of the data of a publication
	large      = 4 << 10 // of scenario 8, so that the buffers of a client that does not read fill
	neighbours = 200     // clients of scenario 8 that do read
	slowRate   = 100     // publications a second
)

// bench runs scenarios and notes figures.
type bench struct {
	*report
	sizes
	wanted func(scenario string) bool
}

// wants tells whether the contender is to run the scenario.
func (b *bench) wants(c *contender, scenario string) bool {
	return b.wanted(scenario) && (c.only == "" || c.only == scenario)
}

// parked is scenarios 1 and 4: all contenders at the same time, because they do next to nothing and it takes a while.
func (b *bench) parked(ctx context.Context, all []*contender) error {
	type lot struct {
		*server
		crowd  *crowd
		before int
		cpu    time.Duration
	}
	var lots []*lot
	for _, c := range all {
		s, err := start(ctx, c)
		if err != nil {
			return err
		}
		defer s.stop()
		crowd, err := gather(b.connections)
		if err != nil {
			return err
		}
		defer crowd.disperse()
		if err := b.warm(ctx, s, crowd); err != nil {
			return err
		}
		lots = append(lots, &lot{server: s, crowd: crowd})
	}
	still := min(10*time.Second, b.idle) // what a start leaves behind goes
	if err := pass(ctx, still); err != nil {
		return err
	}
	for _, l := range lots {
		l.cpu = cpu(l.pid())
	}
	if err := pass(ctx, still); err != nil {
		return err
	}
	for _, l := range lots {
		l.before = rig.Resident(l.pid())
		b.note(resting, l.title, kilo(l.before)/1024)
		b.note(restingCPU, l.title, milli(cpu(l.pid())-l.cpu)/still.Seconds())
		if _, err := l.crowd.connect(ctx, l.plan(usual, b.connections)); err != nil {
			return err
		}
	}
	if err := pass(ctx, min(5*time.Second, b.idle)); err != nil {
		return err
	}
	for _, l := range lots {
		b.note(early, l.title, kilo(rig.Resident(l.pid())-l.before)/float64(b.connections))
		l.cpu = cpu(l.pid())
	}
	if err := pass(ctx, b.idle); err != nil {
		return err
	}
	for _, l := range lots {
		used := cpu(l.pid()) - l.cpu
		b.note(idleCPU, l.title, milli(used)/b.idle.Seconds()/(float64(b.connections)/1000))
		b.note(memory, l.title, kilo(rig.Resident(l.pid())-l.before)/float64(b.connections))
		p, err := l.publisher(usual, small)
		if err != nil {
			return err
		}
		defer p.close()
		if err := p.one(); err != nil { // they are all still there
			return err
		}
		if err := l.crowd.reach(ctx, 1); err != nil {
			return err
		}
		if _, err := l.crowd.exact(ctx, b.connections, 1); err != nil {
			return err
		}
	}
	return nil
}

// warm opens and closes a hundredth of the connections, so that what is made for the first one is not counted as memory of all.
func (b *bench) warm(ctx context.Context, s *server, c *crowd) error {
	if _, err := c.connect(ctx, s.plan(usual, b.connections/100)); err != nil {
		return err
	}
	return c.close(ctx, s)
}

// fan is scenarios 7, 2 and 3 on one start: the connections of the last round are those that receive.
func (b *bench) fan(ctx context.Context, c *contender) error {
	s, err := start(ctx, c)
	if err != nil {
		return err
	}
	defer s.stop()
	crowd, err := gather(b.connections)
	if err != nil {
		return err
	}
	defer crowd.disperse()
	if err := b.warm(ctx, s, crowd); err != nil {
		return err
	}
	rounds := 1
	if b.wants(c, "connect") {
		rounds = b.rounds
	}
	plan := s.plan(usual, b.connections)
	plan.Secret = secret
	for round := range rounds {
		if round > 0 {
			if err := crowd.close(ctx, s); err != nil {
				return err
			}
		}
		before := cpu(s.pid())
		took, err := crowd.connect(ctx, plan)
		if err != nil {
			return err
		}
		if b.wants(c, "connect") {
			b.note(connectRate, s.title, float64(b.connections)/took.Seconds())
			b.note(connectCPU, s.title, micro(cpu(s.pid())-before)/float64(b.connections))
		}
	}
	if !b.wants(c, "delivery") && !b.wants(c, "burst") {
		return nil
	}
	p, err := s.publisher(usual, small)
	if err != nil {
		return err
	}
	defer p.close()
	next := func(count int) (time.Duration, error) {
		begun := time.Now()
		if err := p.burst(count); err != nil {
			return 0, err
		}
		err := crowd.reach(ctx, p.n)
		return time.Since(begun), err
	}
	for range 5 { // compilers and caches
		if _, err := next(1); err != nil {
			return err
		}
	}
	if b.wants(c, "delivery") {
		var times []time.Duration
		before := cpu(s.pid())
		for range b.publishing {
			took, err := next(1)
			if err != nil {
				return err
			}
			times = append(times, took)
		}
		b.note(delivery, s.title, micro(cpu(s.pid())-before)/float64(b.publishing*b.connections))
		slices.Sort(times)
		b.note(spread, s.title, milli(times[len(times)/2]))
	}
	if b.wants(c, "burst") {
		for range b.bursts {
			before := cpu(s.pid())
			took, err := next(burst)
			if err != nil {
				return err
			}
			b.note(burstCPU, s.title, micro(cpu(s.pid())-before)/float64(burst*b.connections))
			b.note(burstRate, s.title, float64(burst*b.connections)/took.Seconds())
		}
	}
	_, err = crowd.exact(ctx, b.connections, p.n)
	return err
}

// slow is scenario 8.
func (b *bench) slow(ctx context.Context, c *contender) error {
	s, err := start(ctx, c)
	if err != nil {
		return err
	}
	defer s.stop()
	crowd, err := gather(1)
	if err != nil {
		return err
	}
	defer crowd.disperse()
	half := func(stalled int, length time.Duration) (swarm.Tally, error) {
		var none swarm.Tally
		p, err := s.publisher(usual, large)
		if err != nil {
			return none, err
		}
		defer p.close()
		plan := s.plan(usual, neighbours+stalled)
		plan.Delays, plan.Stalled = true, stalled
		if _, err := crowd.connect(ctx, plan); err != nil {
			return none, err
		}
		window, cancel := context.WithTimeout(ctx, length)
		defer cancel()
		if err := p.steadily(window, slowRate); err != nil {
			return none, err
		}
		if err := crowd.reach(ctx, p.n); err != nil {
			return none, err
		}
		t, err := crowd.exact(ctx, neighbours, p.n)
		if err != nil {
			return t, err
		}
		if stalled > 0 && t.Unread == 0 {
			return t, errors.New("the client that should not read has read everything")
		}
		return t, crowd.close(ctx, s)
	}
	if _, err := half(0, time.Second); err != nil { // compilers
		return err
	}
	for range b.pairs {
		without, err := half(0, b.each)
		if err != nil {
			return err
		}
		with, err := half(1, b.each)
		if err != nil {
			return err
		}
		b.note(slowWithout, s.title, milli(without.P99))
		b.note(slowWith, s.title, milli(with.P99))
		b.note(slowAdded, s.title, milli(with.P99-without.P99))
	}
	return nil
}
