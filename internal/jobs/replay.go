package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// replay reads the journal and rebuilds the state it tells of, and brings the index up to date. It returns the last sequence.
func (j *Jobs) replay(ctx context.Context) (uint64, error) {
	began := time.Now()
	info, err := j.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("jobs: %w", err)
	}
	applied, err := j.index.applied()
	if err != nil || applied > info.State.LastSeq {
		j.log.Warn("job index does not belong to this journal and is made anew", "applied", applied, "journal", info.State.LastSeq, "error", err)
		if err := j.index.reset(); err != nil {
			return 0, fmt.Errorf("job index: %w", err)
		}
		applied = 0
	}
	r := replayer{j: j, applied: applied}
	j.replaying = true
	last, err := j.journal.replay(ctx, j.stream, r.record)
	j.replaying = false
	if err != nil {
		return 0, err
	}
	for _, b := range j.live {
		r.rows = append(r.rows, rowOf(b))
	}
	if err := j.index.write(r.rows, last); err != nil {
		return 0, fmt.Errorf("job index: %w", err)
	}
	j.resume(time.Now())
	j.log.Info("jobs ready", "records", r.records, "live", len(j.live), "took", time.Since(began).Round(time.Millisecond))
	return last, nil
}

// replayer applies records to the state.
type replayer struct {
	j       *Jobs
	applied uint64
	rows    []row
	records int
}

func (r *replayer) record(seq uint64, at time.Time, c *record) error {
	j := r.j
	r.records++
	switch c.kind {
	case recEnqueue:
		b := newJob(c.spec)
		b.seq, b.events, b.visible = seq, 1, 1
		j.adopt(b)
		if c.spec.Cron != "" {
			j.cronRan(c.spec.Cron, c.spec.RunAt)
		}
		return nil
	case recCarry:
		return r.carry(seq, c)
	case recQueue:
		j.queue(c.name).paused = c.paused
		return nil
	case recCron:
		j.cronRan(c.name, c.at)
		return nil
	case recKey:
		j.keys[c.name] = keyUse{id: c.id, hash: c.hash, at: c.at, seq: seq}
		return nil
	}
	b := j.live[c.id]
	if b == nil {
		return nil // its enqueue was trimmed: the job ended long ago
	}
	err := r.apply(b, seq, at, c)
	b.visible = b.events
	return err
}

// apply changes one live job as the record says.
func (r *replayer) apply(b *job, seq uint64, at time.Time, c *record) error {
	j := r.j
	switch c.kind {
	case recStart:
		b.runs, b.started = c.run, at
		j.setState(b, Running)
		b.note(at, "state", stateEvent{State: "running", Attempt: b.number()}.json())
	case recFail:
		if c.attempt != nil {
			b.blame(*c.attempt)
			if c.attempt.Ending == "crashed" {
				b.crashes++
			} else {
				b.failures++
			}
		}
		b.RunAt = c.at
		j.setState(b, Scheduled)
		b.note(at, "state", stateEvent{State: "scheduled", Attempt: b.number(), RunAt: c.at, Error: b.error()}.json())
	case recInterrupt:
		j.setState(b, Ready)
		b.note(at, "state", stateEvent{State: "ready", Attempt: b.number()}.json())
	case recProgress:
		b.extra().progress = bytes.Clone(c.body)
		b.note(c.at, "progress", b.progress)
	case recLog:
		m := b.extra()
		m.lines++
		m.logged += len(c.body)
		b.note(c.at, "log", bytes.Clone(c.body))
	case recChunk:
		b.note(c.at, "chunk", bytes.Clone(c.body))
	case recCheckpoint:
		b.extra().checkpoint = bytes.Clone(c.body)
	case recEnd:
		return r.end(b, seq, at, c)
	}
	return nil
}

// end takes an ended job out of the state. The index learns of it unless it knows.
func (r *replayer) end(b *job, seq uint64, at time.Time, c *record) error {
	j := r.j
	if c.attempt != nil {
		b.blame(*c.attempt)
		switch {
		case c.attempt.Ending == "crashed":
			b.crashes++
		case c.attempt.Ending == "failed" || c.attempt.Ending == "timed_out":
			b.failures++
		}
	}
	q := j.queue(b.Queue)
	q.pending--
	q.counts[b.state]--
	b.refer(c.body)
	b.state, b.finished, b.worker, b.endSeq, b.ending = c.state, at, c.name, seq, true
	b.note(at, "state", stateEvent{State: c.state.String(), Attempt: int(b.failures + b.crashes), Error: b.error()}.json())
	if j.uniques[b.Unique] == b {
		delete(j.uniques, b.Unique)
	}
	j.argBytes -= b.held()
	delete(j.live, b.ID)
	delete(j.dependents, b.ID)
	if seq > r.applied {
		r.rows = append(r.rows, rowOf(b))
		if len(r.rows) >= 5000 {
			if err := j.index.write(r.rows, 0); err != nil {
				return fmt.Errorf("job index: %w", err)
			}
			r.rows = r.rows[:0]
		}
	}
	return nil
}

// carry replaces a job by what was carried over a trim, or begins an ended one anew.
func (r *replayer) carry(seq uint64, c *record) error {
	j := r.j
	if old := j.live[c.id]; old != nil {
		q := j.queue(old.Queue)
		q.pending--
		q.counts[old.state]--
		j.argBytes -= old.held()
	}
	b := newJob(c.spec)
	k := c.carried
	b.seq, b.due, b.runs, b.failures, b.crashes, b.events, b.visible = seq, k.due, k.runs, k.failures, k.crashes, k.events, k.events
	if k.history != nil {
		b.extra().history = k.history
	}
	if k.checkpoint != nil {
		b.extra().checkpoint = bytes.Clone(k.checkpoint)
	}
	if k.attempts != nil {
		if err := json.Unmarshal(k.attempts, &b.extra().attempts); err != nil {
			return err
		}
	}
	j.adopt(b)
	return nil
}

// resume puts the live jobs where they belong after a replay. A job that was running lost its worker together with headrace, which is
// no attempt of its own.
func (j *Jobs) resume(now time.Time) {
	all := make([]*job, 0, len(j.live))
	for _, b := range j.live {
		all = append(all, b)
	}
	sortJobs(all)
	j.dependents = map[ID][]*job{}
	for _, b := range all {
		if j.argBytes > int64(j.config.Jobs.Memory) {
			j.forget(b)
		}
		if len(b.After) > 0 {
			j.rejoin(b, now)
		}
		j.rehold(b)
		j.settle(b, now)
	}
}

// rehold gives a key back to the job that had it: one that was running, or that waits for its next attempt while the others of a key
// that admits one at a time wait for it.
func (j *Jobs) rehold(b *job) {
	q := j.queue(b.Queue)
	if b.Policy.Value().KeyLimit == 1 && q.keys[b.Key] == nil && (b.state == Running || b.failures+b.crashes > 0) {
		q.hold(b)
	}
}

// rejoin counts what a job still waits for; a part that failed meanwhile counts as it would have then.
func (j *Jobs) rejoin(b *job, now time.Time) {
	b.extra().parents = 0
	if b.runs > 0 {
		return
	}
	for _, id := range b.After {
		if j.live[id] != nil {
			b.parents++
			j.dependents[id] = append(j.dependents[id], b)
		}
	}
	j.checkParts(b, now)
}

// sortJobs orders jobs by id, that is by creation.
func sortJobs(list []*job) {
	slices.SortFunc(list, func(a, b *job) int { return bytes.Compare(a.ID[:], b.ID[:]) })
}
