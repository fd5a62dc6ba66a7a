package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// suite is one run of the plan.
type suite struct {
	plan      *plan
	dir       string
	node      *node
	book      *book
	load      *load
	followers *followers
	at        int // step of the plan

	kills      []kill
	readyP     []time.Duration // from the end of headrace to the next being ready
	elsewhereP []time.Duration // from the kill of a worker to the next run of its job
	took       map[string]int  // steps done, by name
	full       *smallDisk      // while the data is on it
	probes     int             // jobs that were asked for to see whether they are taken
	brief      atomic.Bool     // ended jobs are removed soon: what is seen to have ended needs no second look
}

// kill is a moment at which runs may have been cut short.
type kill struct {
	from, to time.Time
	pid      int // of a worker; 0: all of them
}

func newSuite(dir, binary string, p *plan) (*suite, error) {
	s := &suite{plan: p, dir: dir, took: map[string]int{}}
	var err error
	if s.book, err = newBook(filepath.Join(dir, "acknowledged.log")); err != nil {
		return nil, err
	}
	if s.node, err = newNode(dir, binary); err != nil {
		return nil, err
	}
	s.followers = newFollowers(s.node, s.book)
	s.load = &load{node: s.node, book: s.book, follow: s.followers.follow}
	return s, nil
}

// play carries out the plan, waits until all jobs have ended, and compares the ledgers.
func (s *suite) play(ctx context.Context) error {
	began := time.Now()
	defer s.clean()
	if err := s.start(ctx, settings{fault: s.next()}, time.Time{}); err != nil {
		return err
	}
	s.load.start(ctx, s.plan.seed, s.plan.quick)
	watch, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	watching.Go(func() { s.sweep(watch) })
	err := s.steps(ctx)
	s.load.end()
	loaded := time.Since(began)
	if err == nil {
		s.load.repeat(ctx)
		err = s.settle(ctx)
	}
	stop()
	watching.Wait()
	if err == nil {
		err = s.verify(ctx)
	}
	s.report(time.Since(began), loaded)
	if n := s.book.violations(); err == nil && n > 0 {
		err = fmt.Errorf("%d violations", n)
	}
	if err != nil {
		err = fmt.Errorf("%w; again with -kills %d -seed %d\n%s", err, len(s.plan.steps), s.plan.seed, s.node.tail())
	}
	return err
}

// clean leaves no process and no mount behind.
func (s *suite) clean() {
	if s.node.cmd != nil {
		s.node.kill()
	}
	for _, pid := range s.node.orphans() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	if s.full != nil {
		s.full.remove()
	}
}

func (s *suite) steps(ctx context.Context) error {
	for s.at < len(s.plan.steps) {
		one := s.plan.steps[s.at]
		s.at++ // from here on a start arms the step after this one
		if err := pause(ctx, one.after); err != nil {
			return err
		}
		began := time.Now()
		told, err := actions[one.name](s, ctx, one)
		if err != nil {
			return fmt.Errorf("step %d, %s: %w", s.at, one, err)
		}
		s.took[one.name]++
		fmt.Printf("  %3d/%d %-12s %-20s %6dms  %s\n", s.at, len(s.plan.steps), one.name, one.point, time.Since(began).Milliseconds(), told)
		if s.node.ended() {
			return fmt.Errorf("step %d, %s: headrace ended by itself\n%s", s.at, one, s.node.tail())
		}
	}
	return nil
}

// next is the fault of the step that comes next.
func (s *suite) next() string {
	if s.at < len(s.plan.steps) {
		if one := s.plan.steps[s.at]; one.point != "trim.purging" { // it asks for another configuration
			return one.fault()
		}
	}
	return ""
}

// start starts headrace and waits until it is ready. dead is when the one before ended, zero if that is of no interest.
func (s *suite) start(ctx context.Context, with settings, dead time.Time) error {
	for range 5 { // a fault may strike before it is ready
		began := time.Now()
		if err := s.node.launch(with); err != nil {
			return err
		}
		ready, err := s.node.ready(ctx)
		if err != nil {
			return err
		}
		if ready {
			if !dead.IsZero() {
				s.readyP = append(s.readyP, time.Since(dead))
			}
			return nil
		}
		if code := s.node.cmd.ProcessState.ExitCode(); code != -1 {
			return fmt.Errorf("start %d ended with code %d\n%s", s.node.starts, code, s.node.tail())
		}
		if _, err := s.died(ctx, began); err != nil {
			return err
		}
		with.fault, dead = "", time.Time{}
	}
	return fmt.Errorf("start %d was killed again and again", s.node.starts)
}

// died notes that headrace has just ended, and checks that its workers end with it.
func (s *suite) died(ctx context.Context, from time.Time) (time.Time, error) {
	now := time.Now()
	s.kills = append(s.kills, kill{from: from, to: now})
	var left []int
	err := poll(ctx, 5*time.Second, 5*time.Millisecond, func() bool {
		left = s.node.orphans()
		return len(left) == 0
	})
	if err == errLate {
		s.book.violation("processes %v outlived headrace by five seconds", left)
		for _, pid := range left {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		err = nil
	}
	s.kills[len(s.kills)-1].to = time.Now() // a worker may have ended its run meanwhile
	return now, err
}

// restart kills headrace and starts it.
func (s *suite) restart(ctx context.Context, with settings) error {
	from := time.Now()
	s.node.kill()
	dead, err := s.died(ctx, from)
	if err != nil {
		return err
	}
	return s.start(ctx, with, dead)
}

// sweep looks at the jobs that have not ended again and again.
func (s *suite) sweep(ctx context.Context) {
	for pause(ctx, 250*time.Millisecond) == nil {
		for _, e := range s.book.acknowledged(true) {
			if !s.look(ctx, e) {
				break
			}
		}
	}
}

// look reads how a job stands. It is false if headrace does not answer.
func (s *suite) look(ctx context.Context, e *entry) bool {
	var told struct{ State, Finished string }
	status, err := s.node.get(ctx, "/v1/jobs/"+e.id, &told)
	switch {
	case err != nil || status == http.StatusServiceUnavailable:
		return false
	case status == http.StatusOK:
		first := e.state == ""
		s.book.seen(e, told.State, told.Finished)
		if first && e.state != "" && s.brief.Load() {
			s.book.mu.Lock()
			e.closed = true
			s.book.mu.Unlock()
		}
	default:
		s.book.violation("%s %s (%s), acknowledged at %s, last seen %q: status %d", e.kind, e.ref, e.id, e.acked.Format(time.StampMilli), e.state, status)
		s.book.mu.Lock()
		e.closed = true
		s.book.mu.Unlock()
	}
	return true
}

// settle waits until no job is left.
func (s *suite) settle(ctx context.Context) error {
	left := -1
	err := poll(ctx, 2*time.Minute, 100*time.Millisecond, func() bool {
		var told struct {
			Queues []struct{ Waiting, Scheduled, Ready, Running int }
		}
		if status, err := s.node.get(ctx, "/v1/queues", &told); err != nil || status != http.StatusOK {
			return false
		}
		left = 0
		for _, q := range told.Queues {
			left += q.Waiting + q.Scheduled + q.Ready + q.Running
		}
		return left == 0
	})
	if err != nil {
		body := []byte(nil)
		if left > 0 {
			_, body, _ = s.node.do(ctx, http.MethodGet, "/v1/jobs?state=waiting,scheduled,ready,running&limit=5", "", "")
		}
		return fmt.Errorf("%d jobs have not ended two minutes after the load: %w\n%.2000s", left, err, body)
	}
	return nil
}

// pools are the processes of the pool.
func (s *suite) pools(ctx context.Context) (zygote int, workers, busy []int) {
	var told struct {
		Pools []struct {
			Zygote  int
			Workers []struct{ Pid, Running int }
		}
	}
	if _, err := s.node.get(ctx, "/v1/pools", &told); err != nil {
		return 0, nil, nil
	}
	for _, p := range told.Pools {
		zygote = p.Zygote
		for _, w := range p.Workers {
			workers = append(workers, w.Pid)
			if w.Running > 0 {
				busy = append(busy, w.Pid)
			}
		}
	}
	return zygote, workers, busy
}

func (s *suite) size() int64 {
	var sum int64
	_ = filepath.Walk(s.node.data, func(_ string, info os.FileInfo, err error) error {
		if err == nil && !info.IsDir() {
			sum += info.Size()
		}
		return nil
	})
	return sum
}
