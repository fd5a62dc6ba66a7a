package jobs

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// Cancel ends a job. One that waits ends at once; one that runs gets the cancel ladder and ends when its worker has let go. The info
// is how the job stands after the request is committed. A job that has ended is HR2008.
func (j *Jobs) Cancel(ctx context.Context, id ID) (Info, error) {
	now := time.Now()
	j.mu.Lock()
	b := j.live[id]
	if b == nil || b.ending {
		j.mu.Unlock()
		info, err := j.Get(id)
		if err == nil {
			err = problem.New("HR2008", "job %s is %s already", id, info.State).At(id.String())
		}
		return info, err
	}
	if r := b.run; r != nil {
		r.cancelling = "cancelled"
		handle := r.handle
		j.mu.Unlock()
		if handle != nil {
			handle.Cancel("cancelled")
		}
		return j.Get(id)
	}
	j.end(b, Cancelled, nil, &Attempt{Number: b.number(), Run: b.runs, Ended: now, Ending: "cancelled", Error: cancelled("cancelled before it ran")}, now)
	j.mu.Unlock()
	return j.Wait(ctx, id)
}

// Retry begins an ended job anew, with its retries and crashes counted from zero, or runs a scheduled one at once. Others are HR2008.
func (j *Jobs) Retry(ctx context.Context, id ID) (Info, error) {
	now := time.Now()
	j.mu.Lock()
	if b := j.live[id]; b != nil {
		defer j.mu.Unlock()
		if b.state != Scheduled {
			return infoOf(b), problem.New("HR2008", "job %s is %s", id, b.state).At(id.String())
		}
		b.RunAt = now
		j.ready(b, now, false)
		j.kick()
		return infoOf(b), nil
	}
	j.mu.Unlock()
	if err := j.flushed(ctx, id); err != nil {
		return Info{}, err
	}
	r, err := j.index.get(id)
	if err != nil {
		return Info{}, err
	}
	spec, err := j.stored(ctx, id, r.seq)
	if err != nil {
		return Info{}, err
	}
	history, err := j.index.history(id, 0)
	if err != nil {
		return Info{}, err
	}
	if history == nil {
		history = plainHistory(&r)
	}
	b, wait, err := j.revive(spec, r, history, now)
	if err != nil {
		return Info{}, err
	}
	if err := j.await(ctx, wait.done); err != nil {
		return Info{}, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return infoOf(b), nil
}

// revive makes an ended job live again.
func (j *Jobs) revive(spec *Spec, r row, history []Event, now time.Time) (*job, *receipt, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.live[spec.ID] != nil {
		return nil, nil, problem.New("HR2008", "job %s is live already", spec.ID).At(spec.ID.String())
	}
	spec.RunAt, spec.Expires = time.Time{}, time.Time{}
	b := newJob(spec)
	b.due, b.runs, b.events, b.visible = r.due, r.runs, r.lastEvent, r.lastEvent
	b.extra().attempts, b.history = r.attempts, history
	n := b.note(now, "state", stateEvent{State: "ready"}.json())
	wait := &receipt{left: 1, done: make(chan struct{})}
	if err := j.journal.append([]ticket{{kind: recEnqueue, job: b, event: n, waiter: wait}}, *b.carry()); err != nil {
		return nil, nil, err
	}
	delete(j.recent, b.ID)
	j.adopt(b)
	b.parents = 0
	return b, wait, nil
}

// carry is the record that says all of a live job again.
func (b *job) carry() *record {
	c := &carried{due: b.due, runs: b.runs, failures: b.failures, crashes: b.crashes, events: b.events}
	if b.more != nil {
		c.checkpoint, c.history = b.checkpoint, b.history
		if len(b.attempts) > 0 {
			var err error
			if c.attempts, err = json.Marshal(b.attempts); err != nil {
				panic("jobs: attempts: " + err.Error())
			}
		}
	}
	return &record{kind: recCarry, spec: b.Spec, carried: c}
}

// RetryMany retries the ended jobs that the filter selects and returns how many it did, at most the filter's limit. A filter without a
// state selects dead jobs.
func (j *Jobs) RetryMany(ctx context.Context, f Filter) (int, error) {
	if len(f.States) == 0 {
		f.States = []State{Dead}
	}
	for _, s := range f.States {
		if !s.Terminal() && s != Scheduled {
			return 0, problem.New("HR2019", "jobs that are %s cannot be retried", s).At("state")
		}
	}
	return j.each(ctx, f, 1, j.Retry) // in their order
}

// CancelMany cancels the jobs that the filter selects and returns how many it did, at most the filter's limit; of those that run it counts
// the requests. A filter without a state selects all that have not ended. One that selects by nothing at all is HR2019.
func (j *Jobs) CancelMany(ctx context.Context, f Filter) (int, error) {
	if len(f.States) == 0 && f.Function == "" && f.Queue == "" && f.Tag == "" && f.Key == "" && f.Since.IsZero() {
		return 0, problem.New("HR2019", "nothing says which jobs are meant").Hinting("give state, function, queue, tag, key or since")
	}
	if len(f.States) == 0 {
		f.States = []State{Waiting, Scheduled, Ready, Running}
	}
	for _, s := range f.States {
		if s.Terminal() {
			return 0, problem.New("HR2019", "jobs that are %s have ended", s).At("state").Hinting("use waiting, scheduled, ready or running")
		}
	}
	return j.each(ctx, f, cancelsAtOnce, j.Cancel)
}

// cancelsAtOnce is how many jobs of a filter are cancelled at a time, so that one sync serves many.
const cancelsAtOnce = 64

// each does one thing to the jobs that the filter selects, oldest first, some at once, and returns to how many. Those that are in another
// state by now are left out.
func (j *Jobs) each(ctx context.Context, f Filter, atOnce int, do func(context.Context, ID) (Info, error)) (int, error) {
	list, err := j.List(ctx, f)
	if err != nil {
		return 0, err
	}
	var (
		mu    sync.Mutex
		done  int
		group sync.WaitGroup
		turns = make(chan struct{}, atOnce)
	)
	for _, info := range slices.Backward(list) {
		turns <- struct{}{}
		mu.Lock()
		failed := err != nil
		mu.Unlock()
		if failed {
			break
		}
		group.Go(func() {
			defer func() { <-turns }()
			id, e := ParseID(info.ID)
			if e == nil {
				_, e = do(ctx, id)
			}
			mu.Lock()
			defer mu.Unlock()
			if e == nil {
				done++
			} else if code := problem.From(e).Code; code != "HR2008" && code != "HR2007" {
				err = e
			}
		})
	}
	group.Wait()
	return done, err
}

// QueueInfo is a queue as the API shows it.
type QueueInfo struct {
	Name        string `json:"name"`
	Paused      bool   `json:"paused"`
	Waiting     int64  `json:"waiting"`
	Scheduled   int64  `json:"scheduled"`
	Ready       int64  `json:"ready"`
	Running     int64  `json:"running"`
	Succeeded   int64  `json:"succeeded"` // since headrace started, as the next three
	Dead        int64  `json:"dead"`
	Cancelled   int64  `json:"cancelled"`
	Expired     int64  `json:"expired"`
	MaxPending  int    `json:"max_pending"`
	Concurrency int    `json:"concurrency,omitempty"`
	Rate        string `json:"rate,omitempty"`

	Oldest time.Time `json:"oldest_ready,omitzero"` // since when the job stands in line that does so for the longest time
}

// Queues returns the queues that are configured or were used, by name.
func (j *Jobs) Queues() []QueueInfo {
	j.mu.Lock()
	defer j.mu.Unlock()
	for name := range j.config.Queues {
		if name != config.DefaultQueue {
			j.queue(name)
		}
	}
	list := make([]QueueInfo, 0, len(j.queues))
	for _, q := range j.queues {
		c := &q.counts
		list = append(list, QueueInfo{Oldest: q.oldest().UTC(),
			Name: q.name, Paused: q.paused, Waiting: c[Waiting], Scheduled: c[Scheduled], Ready: c[Ready], Running: c[Running],
			Succeeded: c[Succeeded], Dead: c[Dead], Cancelled: c[Cancelled], Expired: c[Expired],
			MaxPending: q.config.MaxPending, Concurrency: q.config.Concurrency, Rate: q.config.Rate.String(),
		})
	}
	slices.SortFunc(list, func(a, b QueueInfo) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Full tells whether the queue takes no more jobs, for a refusal before a body is read. The problem is HR2006.
func (j *Jobs) Full(queue string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if q := j.queues[queue]; q != nil && q.pending >= q.config.MaxPending {
		return problem.New("HR2006", "queue %s holds %d jobs", q.name, q.pending).At(q.name)
	}
	return nil
}

// Pause stops the queue from starting jobs, or lets it start them again; it still takes new ones. The answer comes after the commit. An
// unknown queue is HR2012.
func (j *Jobs) Pause(ctx context.Context, name string, paused bool) error {
	wait := &receipt{left: 1, done: make(chan struct{})}
	j.mu.Lock()
	q := j.queues[name]
	if q == nil && j.config.Queues[name] != nil {
		q = j.queue(name)
	}
	if q == nil {
		j.mu.Unlock()
		return problem.New("HR2012", "no queue %q", name).At(name)
	}
	q.paused = paused
	err := j.journal.append([]ticket{{kind: recQueue, waiter: wait}}, record{kind: recQueue, name: name, paused: paused})
	j.mu.Unlock()
	j.kick()
	if err != nil {
		return err
	}
	return j.await(ctx, wait.done)
}

// Drain pauses the queue and returns when none of its jobs runs any more, or the context ends.
func (j *Jobs) Drain(ctx context.Context, name string) error {
	if err := j.Pause(ctx, name, true); err != nil {
		return err
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		j.mu.Lock()
		running := j.queues[name].running
		j.mu.Unlock()
		if running == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return problem.New("HR2008", "%d jobs of queue %s still run", running, name).At(name).Hinting("wait, or cancel them")
		}
	}
}
