package jobs

import (
	"time"

	"github.com/headrace/headrace/internal/fault"
	"github.com/headrace/headrace/internal/workers"
)

// setState moves the job between the counts of its queue and marks it for the indexer.
func (j *Jobs) setState(b *job, s State) {
	q := j.queue(b.Queue)
	q.counts[b.state]--
	q.counts[s]++
	b.state = s
	j.touch(b)
}

// touch marks a committed job for the indexer.
func (j *Jobs) touch(b *job) {
	if !b.dirty && b.seq != 0 && !j.replaying {
		b.dirty, b.touched = true, time.Now()
		if j.dirty = append(j.dirty, b); len(j.dirty) == 1 {
			select {
			case j.stirred <- struct{}{}:
			default:
			}
		}
	}
}

// ready puts the job in line.
func (j *Jobs) ready(b *job, now time.Time, front bool) {
	j.setState(b, Ready)
	b.readyAt = now
	j.lineOf(b).push(b, front)
	j.setTimer(b)
}

// settle places a job that has just been committed or replayed, or whose parents have ended: in line, or on the clock.
func (j *Jobs) settle(b *job, now time.Time) {
	switch {
	case b.ending:
	case b.more != nil && b.parents > 0:
		j.touch(b)
		j.setTimer(b)
	case b.RunAt.After(now):
		j.setState(b, Scheduled)
		j.setTimer(b)
	default:
		j.ready(b, now, false)
	}
}

// stopRun takes a job out of its run.
func (j *Jobs) stopRun(b *job) {
	b.run = nil
	j.queue(b.Queue).running--
}

// again records a failed attempt and schedules the next. A job whose key admits one at a time keeps its key meanwhile, so that the
// order within the key holds.
func (j *Jobs) again(b *job, a *Attempt, now time.Time, delay time.Duration) {
	j.stopRun(b)
	b.blame(*a)
	due := now.Add(delay)
	n := b.note(now, "state", stateEvent{State: "scheduled", Attempt: b.number(), RunAt: due, Error: a.summary()}.json())
	if b.Policy.Value().KeyLimit != 1 {
		j.queue(b.Queue).free(b)
	}
	j.Metrics.retried(b)
	j.append(ticket{kind: recFail, job: b, event: n}, record{kind: recFail, id: b.ID, run: b.runs, attempt: a, at: due})
	b.RunAt = due
	if delay > 0 {
		j.settle(b, now)
	} else {
		j.ready(b, now, true) // it had its turn
	}
	j.kick()
}

// interrupt records a run that was cut short through no fault of the job, and puts the job at the head of its line.
func (j *Jobs) interrupt(r *run, now time.Time) {
	b := r.job
	j.stopRun(b)
	n := b.note(now, "state", stateEvent{State: "ready", Attempt: b.number()}.json())
	j.append(ticket{kind: recInterrupt, job: b, event: n}, record{kind: recInterrupt, id: b.ID, run: b.runs})
	if !b.Expires.IsZero() && !now.Before(b.Expires) {
		j.expire(b, now)
		return
	}
	j.ready(b, now, true)
	j.kick()
}

// end records the terminal state. What follows from it, follows when it is committed.
func (j *Jobs) end(b *job, s State, result []byte, a *Attempt, now time.Time) {
	if b.turn != nil {
		b.turn.lane.line.leave(b)
	}
	j.timers.remove(b)
	if b.run != nil {
		j.stopRun(b)
	}
	if a != nil {
		b.blame(*a)
	}
	q := j.queue(b.Queue)
	q.free(b)
	q.pending--
	if j.uniques[b.Unique] == b {
		delete(j.uniques, b.Unique)
	}
	j.argBytes -= b.held()
	b.ending, b.finished, b.result = true, now, result
	b.refer(result)
	b.before, b.state = b.state, s
	n := b.note(now, "state", stateEvent{State: s.String(), Attempt: int(b.failures + b.crashes), Error: b.error()}.json())
	awaited := len(b.watchers) > 0 || len(b.waiters) > 0 || j.dependents[b.ID] != nil
	j.append(ticket{kind: recEnd, job: b, event: n, patient: !awaited}, record{kind: recEnd, id: b.ID, run: b.runs, state: s, body: result, attempt: a, name: b.worker, large: s == Succeeded && b.more != nil && b.large})
	j.kick()
}

// expire ends a job whose time ran out before it did.
func (j *Jobs) expire(b *job, now time.Time) {
	j.end(b, Expired, nil, &Attempt{Number: b.number(), Run: b.runs, Ended: now, Ending: "expired",
		Error: &workers.TaskError{Kind: "fail", Type: "Expired", Message: "the job's time ran out before it ended"}}, now)
}

func cancelled(why string) *workers.TaskError {
	return &workers.TaskError{Kind: "cancelled", Type: "Cancelled", Message: why}
}

// append records a transition; a journal that refuses is broken, which the health condition and every answer tell.
func (j *Jobs) append(t ticket, r record) {
	if err := j.journal.append([]ticket{t}, r); err != nil {
		j.log.Debug("transition not recorded", "job", r.id, "error", err)
	}
}

// committed is called by the journal with everything that is durable now, in order.
func (j *Jobs) committed(seq uint64, tickets []ticket) {
	now := time.Now()
	j.mu.Lock()
	j.committedSeq = seq
	for i := range tickets {
		t := &tickets[i]
		if t.job != nil {
			j.commit(t, seq, now)
		}
		if w := t.waiter; w != nil {
			if w.left--; w.left == 0 {
				close(w.done)
			}
		}
	}
	j.mu.Unlock()
	j.kick()
}

// commit is one record of a job becoming durable.
func (j *Jobs) commit(t *ticket, seq uint64, now time.Time) {
	b := t.job
	switch t.kind {
	case recEnqueue:
		b.seq = seq
		if use, ok := j.keys[b.Idempotency]; ok && use.id == b.ID {
			use.seq = seq
			j.keys[b.Idempotency] = use
		}
		j.commitEnqueue(b, now)
	case recCarry:
		b.seq = seq
		j.touch(b)
	case recEnd:
		b.endSeq = seq
		j.finalize(b, now)
	}
	if t.event > b.visible {
		b.visible = t.event
		b.signal()
	}
}

// commitEnqueue lets a new job into its line. Its arguments leave memory if too many are held there.
func (j *Jobs) commitEnqueue(b *job, now time.Time) {
	if j.argBytes > int64(j.config.Jobs.Memory) {
		j.forget(b)
	}
	if b.more != nil {
		for _, c := range b.starters {
			close(c)
		}
		b.starters = nil
	}
	if len(b.After) > 0 && b.runs == 0 {
		j.checkParts(b, now)
	}
	j.settle(b, now)
}

// checkParts ends a job one of whose parts has already ended without success, unless its policy is to run nevertheless.
func (j *Jobs) checkParts(b *job, now time.Time) {
	for _, id := range b.After {
		if s, known := j.stateOf(id); known && s.Terminal() && s != Succeeded && j.live[id] == nil {
			j.partFailed(b, id, s, now)
			return
		}
	}
}

func (j *Jobs) partFailed(b *job, part ID, s State, now time.Time) {
	if b.ending || b.Policy.Value().Continue {
		return
	}
	j.end(b, Cancelled, nil, &Attempt{Number: b.number(), Ended: now, Ending: "cancelled",
		Error: cancelled("job " + part.String() + " that it comes after ended " + s.String())}, now)
}

// finalize is the last a live job sees: waiters and dependents go on, the index takes over.
func (j *Jobs) finalize(b *job, now time.Time) {
	fault.Point("job.ended")
	delete(j.live, b.ID)
	j.recent[b.ID] = b
	counts := &j.queue(b.Queue).counts
	counts[b.before]--
	counts[b.state]++
	j.touch(b)
	j.Metrics.ended(b)
	if b.more != nil {
		for _, c := range b.waiters {
			close(c)
		}
		b.waiters = nil
	}
	j.release(b, now)
}

// release tells the jobs that wait for this one.
func (j *Jobs) release(b *job, now time.Time) {
	waiting := j.dependents[b.ID]
	if waiting == nil {
		return
	}
	delete(j.dependents, b.ID)
	for _, d := range waiting {
		d.parents--
		if b.state != Succeeded {
			j.partFailed(d, b.ID, b.state, now)
		}
		if d.parents == 0 && d.seq != 0 {
			j.settle(d, now)
		}
	}
}
