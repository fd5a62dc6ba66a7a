package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// bout is one contender, started, with the report its figures go to.
type bout struct {
	contender
	setup
	sizes
	report *report
	next   int // index of the next job
	signed int // runs that the ledger must have at least
	done   int // results that must be recorded
}

// begin starts c fresh and waits until each of its workers has run a job.
func begin(ctx context.Context, c contender, r *report, s sizes, change func(*setup)) (*bout, error) {
	setup, err := fresh(filepath.Join(buildDir, "runs"), c.name())
	if err != nil {
		return nil, err
	}
	if change != nil {
		change(&setup)
	}
	if err := c.start(ctx, setup); err != nil {
		return nil, err
	}
	b := &bout{contender: c, setup: setup, sizes: s, report: r}
	if setup.workers > 0 {
		if err := b.warm(ctx); err != nil {
			b.end()
			return nil, err
		}
	}
	return b, nil
}

func (b *bout) end() {
	_ = os.Remove(b.hold)
	b.stop()
	_ = os.RemoveAll(b.dir)
}

// warm runs jobs until all workers are there.
func (b *bout) warm(ctx context.Context) error {
	if _, err := b.occupy(ctx, "hold"); err != nil {
		return err
	}
	return b.release(ctx)
}

// occupy enqueues jobs of function, hold or burn, until every worker process runs one, and returns the index of the first.
func (b *bout) occupy(ctx context.Context, function string) (int, error) {
	if err := os.WriteFile(b.hold, nil, 0o644); err != nil {
		return 0, err
	}
	first := b.next
	err := rig.Poll(ctx, time.Minute, 100*time.Millisecond, "busy on all workers", func() (bool, error) {
		if err := b.ledger.load(); err != nil {
			return false, err
		}
		pids := map[int]bool{}
		for index := first; index < b.next; index++ {
			for _, run := range b.ledger.runs[uint64(index)] {
				pids[run.pid] = true
			}
		}
		if len(pids) >= b.workers {
			return true, nil
		}
		if b.next-first > 40 { // enough for any prefetch: only time can help
			return false, nil
		}
		return false, b.one(function)
	})
	return first, err
}

// release ends hold and burn jobs and waits for the results of all jobs.
func (b *bout) release(ctx context.Context) error {
	if err := os.Remove(b.hold); err != nil {
		return err
	}
	return b.settle(ctx, time.Minute)
}

// one enqueues one job and waits for the acknowledgement.
func (b *bout) one(function string) error {
	conn, err := load.Dial(b.addr())
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.Deadline(time.Now().Add(10 * time.Second))
	status, body, err := conn.Do(b.enqueue(nil, function, b.next))
	if err == nil && status != 202 {
		err = fmt.Errorf("%s: enqueue %s: status %d: %.500s", b.name(), function, status, body)
	}
	if err == nil {
		b.owe(1)
	}
	return err
}

// owe counts jobs that were acknowledged: each must run and leave a result.
func (b *bout) owe(jobs int) {
	b.next += jobs
	b.signed += jobs
	b.done += jobs
}

// settle waits until as many results are recorded as jobs were enqueued.
func (b *bout) settle(ctx context.Context, limit time.Duration) error {
	recorded := 0
	err := rig.Poll(ctx, limit, 5*time.Millisecond, "recorded", func() (_ bool, err error) {
		if b.ledger.size() < b.signed { // asks the file first: looking at results costs the system CPU
			return false, nil
		}
		recorded, err = b.recorded()
		return recorded >= b.done, err
	})
	if err == nil && recorded > b.done {
		err = fmt.Errorf("%d results for %d jobs", recorded, b.done)
	}
	if err != nil {
		return fmt.Errorf("%s: %d jobs enqueued, %d runs signed, %d results: %w", b.name(), b.done, b.ledger.size(), recorded, err)
	}
	return nil
}

// note adds a figure of this contender to the report.
func (b *bout) note(figure string, value float64) {
	b.report.note(figure, b.name(), value)
}
