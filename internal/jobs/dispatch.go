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
			for j.fill(p) {
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

// fill hands the pool what it has room for and tells whether there may be more.
func (j *Jobs) fill(pool *workers.Pool) bool {
	const most = 256 // jobs under one lock
	now := time.Now()
	j.mu.Lock()
	starts, more := j.choose(pool, most, now)
	j.mu.Unlock()
	if len(starts) == 0 {
		return false
	}
	fault.Point("dispatch.chosen")
	var refused []*run
	for _, s := range starts {
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
func (j *Jobs) choose(pool *workers.Pool, most int, now time.Time) (starts []start, more bool) {
	if j.closing {
		return nil, false
	}
	var lines []*line
	for _, q := range j.queues {
		if l := q.lines[pool.Name()]; l != nil && l.ready > 0 {
			lines = append(lines, l)
		}
	}
	var records []*record
	var tickets []ticket
	room := newRoom()
	for len(lines) > 0 && len(starts) < most {
		kept := lines[:0]
		for _, l := range lines {
			b, fn := j.startable(l, room, now)
			if b == nil {
				continue
			}
			s, r, t := j.begin(l, b, fn, now)
			starts, records, tickets = append(starts, s), append(records, r), append(tickets, t)
			kept = append(kept, l)
		}
		lines = kept
	}
	if len(records) > 0 {
		if err := j.journal.append(tickets, records...); err != nil {
			return nil, false // the journal is broken or stopping: nothing starts any more
		}
	}
	return starts, len(lines) > 0
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
func (j *Jobs) begin(l *line, b *job, fn *functions.Function, now time.Time) (start, *record, ticket) {
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
	return start{run: b.run, fn: fn, limit: b.limit(now)},
		&record{kind: recStart, id: b.ID, run: b.runs},
		ticket{kind: recStart, job: b, event: n, patient: len(b.watchers) == 0}
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
