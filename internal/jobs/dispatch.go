package jobs

import (
	"context"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/fault"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/workers"
)

// dispatching hands ready jobs to pools whenever either side changes.
func (j *Jobs) dispatching(ctx context.Context) {
	var chosen batch
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
		}
		j.mu.Lock()
		pools := make([]*workers.Pool, 0, len(j.pools))
		for _, p := range j.pools {
			pools = append(pools, p)
		}
		j.mu.Unlock()
		for _, p := range pools {
			for j.fill(p, &chosen) {
			}
		}
	}
}

// start is a job that was taken out of line, on its way to a pool.
type start struct {
	run   *run
	fn    *functions.Function
	limit time.Duration
}

// batch is what was taken out of line at once. Its memory is used again.
type batch struct {
	starts  []start
	records []record
	tickets []ticket
}

// clear lets go of the jobs.
func (b *batch) clear() {
	clear(b.starts)
	clear(b.tickets)
	b.starts, b.records, b.tickets = b.starts[:0], b.records[:0], b.tickets[:0]
}

// fill hands the pool what it has room for and tells whether there may be more.
func (j *Jobs) fill(pool *workers.Pool, chosen *batch) bool {
	const most = 256 // jobs under one lock
	now := time.Now()
	j.mu.Lock()
	more := j.choose(pool, most, now, chosen)
	j.mu.Unlock()
	defer chosen.clear()
	if len(chosen.starts) == 0 {
		return false
	}
	fault.Point("dispatch.chosen")
	var refused []*run
	for _, s := range chosen.starts {
		if !j.offer(pool, s, now) {
			refused = append(refused, s.run)
		}
	}
	pool.Flush()
	fault.Point("dispatch.offered")
	if len(refused) == 0 {
		return more
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, r := range slices.Backward(refused) {
		if r.job.run == r {
			j.interrupt(r, time.Now())
			r.job.refund()
		}
	}
	return false
}

// choose takes jobs out of line: queues in turn, within each its priorities and keys in turn.
func (j *Jobs) choose(pool *workers.Pool, most int, now time.Time, to *batch) (more bool) {
	if j.closing {
		return false
	}
	var lines []*line
	for _, q := range j.queues {
		if l := q.lines[pool.Name()]; l != nil && l.ready > 0 {
			lines = append(lines, l)
		}
	}
	room := newRoom()
	for len(lines) > 0 && len(to.starts) < most {
		kept := lines[:0]
		for _, l := range lines {
			b, fn := j.startable(l, room, now)
			if b == nil {
				continue
			}
			j.begin(l, b, fn, now, to)
			kept = append(kept, l)
		}
		lines = kept
	}
	if len(to.starts) > 0 {
		if err := j.journal.append(to.tickets, to.records...); err != nil {
			to.clear() // the journal is broken or stopping: nothing starts any more
			return false
		}
	}
	return len(lines) > 0
}

// startable returns the next job of the line if its queue and its pool allow it to start now.
func (j *Jobs) startable(l *line, room *room, now time.Time) (*job, *functions.Function) {
	open, in := l.queue.open(now)
	if !open {
		if in > 0 {
			j.timers.setRate(l.queue, now.Add(in))
			j.nudge()
		}
		return nil, nil
	}
	b := l.next()
	if b == nil {
		return nil, nil
	}
	fn := j.functions.Find(b.Function)
	if fn == nil || !room.take(fn) {
		return nil, nil
	}
	return b, fn
}

// begin turns a ready job into a running one.
func (j *Jobs) begin(l *line, b *job, fn *functions.Function, now time.Time, to *batch) {
	l.pop(b)
	q := l.queue
	if q.rate != nil {
		q.rate.AllowN(now, 1)
	}
	q.running++
	j.timers.remove(b)
	j.setState(b, Running)
	b.runs++
	b.started, b.worker = now, ""
	b.run = &run{jobs: j, job: b, number: b.runs}
	b.run.traced = b.run.trace(now)
	n := b.note(now, "state", stateEvent{State: "running", Attempt: b.number()}.json())
	to.starts = append(to.starts, start{run: b.run, fn: fn, limit: b.limit(now)})
	to.records = append(to.records, record{kind: recStart, id: b.ID, run: b.runs})
	to.tickets = append(to.tickets, ticket{kind: recStart, job: b, event: n, patient: len(b.watchers) == 0})
}

// offer prepares the arguments and hands the run over. It is false if the pool took none.
func (j *Jobs) offer(pool *workers.Pool, s start, now time.Time) bool {
	b := s.run.job
	args, caller, err := j.arguments(b)
	if err == nil {
		args, err = s.fn.Locate(args, j.engine.Blobs())
	}
	if err != nil {
		s.run.Done(workers.Outcome{Ending: workers.Failed, Error: &workers.TaskError{Kind: "fail", Type: "headrace", Message: err.Error()}})
		return true
	}
	var parts []part
	if len(b.After) > 0 {
		parts = j.parts(b.After)
	}
	j.mu.Lock()
	meta := b.meta(caller, s.run.traced, s.limit, now, parts)
	j.mu.Unlock()
	handle, ok := pool.Offer(&workers.Task{Function: b.Function, Meta: meta, Args: args, Timeout: s.limit, Sink: s.run})
	if !ok {
		return false
	}
	j.mu.Lock()
	s.run.handle = handle
	reason := s.run.cancelling
	j.mu.Unlock()
	if reason != "" {
		handle.Cancel(reason)
	}
	return true
}
