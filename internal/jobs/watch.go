package jobs

import (
	"context"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// watcher follows the events of a live job.
type watcher struct {
	wake chan struct{}
}

// signal wakes the watchers of a job.
func (b *job) signal() {
	if b.more == nil {
		return
	}
	for _, w := range b.watchers {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// Watch calls f with every committed event of a job after number n, in order and once each, until the job's end was told (nil), f
// fails, or the context ends. Resuming after the number seen last neither repeats nor leaves out an event.
func (j *Jobs) Watch(ctx context.Context, id ID, n uint32, f func(Event) error) error {
	w := &watcher{wake: make(chan struct{}, 1)}
	j.mu.Lock()
	b := j.live[id]
	if b == nil {
		j.mu.Unlock()
		return j.past(id, n, f)
	}
	b.extra().watchers = append(b.watchers, w)
	j.mu.Unlock()
	defer j.unwatch(b, w)
	if n == 0 {
		if err := f(firstEvent(b.Created, b.due)); err != nil {
			return err
		}
		n = 1
	}
	for {
		events, ended := j.after(b, n)
		for _, e := range events {
			if err := f(e); err != nil {
				return err
			}
			n = e.N
		}
		if ended {
			return nil
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			return ctx.Err()
		case <-j.journal.broken:
			return j.journal.ready()
		case <-j.running.Done():
			return problem.New("HR2017", "jobs have stopped")
		}
	}
}

// firstEvent is not stored: it follows from when the job was created and when it was to run.
func firstEvent(created, due time.Time) Event {
	e := stateEvent{State: "ready"}
	if due.After(created) {
		e.State, e.RunAt = "scheduled", due.UTC()
	}
	return Event{N: 1, At: created, Kind: "state", Data: e.json()}
}

// after returns the committed events with a number above n, and whether the end is committed and among them or before.
func (j *Jobs) after(b *job, n uint32) (events []Event, ended bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range b.history {
		if e.N > n && e.N <= b.visible {
			events = append(events, e)
		}
	}
	return events, b.endSeq != 0
}

func (j *Jobs) unwatch(b *job, w *watcher) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for i, other := range b.watchers {
		if other == w {
			b.watchers = append(b.watchers[:i:i], b.watchers[i+1:]...)
			return
		}
	}
}

// past tells the events of a job that has ended.
func (j *Jobs) past(id ID, n uint32, f func(Event) error) error {
	events, err := j.all(id)
	if err != nil {
		return err
	}
	for _, e := range events {
		if e.N > n {
			if err := f(e); err != nil {
				return err
			}
		}
	}
	return nil
}

// all returns the events of a job that has ended.
func (j *Jobs) all(id ID) ([]Event, error) {
	j.mu.Lock()
	if b := j.recent[id]; b != nil {
		defer j.mu.Unlock()
		return append([]Event{firstEvent(b.Created, b.due)}, b.history...), nil
	}
	j.mu.Unlock()
	r, err := j.index.get(id)
	if err != nil {
		return nil, err
	}
	stored, err := j.index.history(id, 0)
	if err != nil {
		return nil, err
	}
	if stored == nil {
		stored = plainHistory(&r)
	}
	return append([]Event{firstEvent(r.Created, r.due)}, stored...), nil
}

// Events returns all committed events of a job, the first one first; the event at index i has the number i+1.
func (j *Jobs) Events(id ID) ([]Event, error) {
	j.mu.Lock()
	b := j.live[id]
	if b == nil || b.visible == 0 {
		j.mu.Unlock()
		return j.all(id)
	}
	defer j.mu.Unlock()
	events := []Event{firstEvent(b.Created, b.due)}
	if b.more != nil {
		for _, e := range b.history {
			if e.N <= b.visible {
				events = append(events, e)
			}
		}
	}
	return events, nil
}

// plainHistory is the history of a job that was ready, ran once and ended: it is not stored, since it follows from the job.
func plainHistory(r *row) []Event {
	end := Event{N: r.lastEvent, At: r.Finished, Kind: "state", Data: stateEvent{State: r.State, Attempt: max(r.Attempt, 0), Error: r.Error}.json()}
	if r.runs == 0 {
		return []Event{end}
	}
	return []Event{{N: 2, At: r.Started, Kind: "state", Data: stateEvent{State: "running", Attempt: 1}.json()}, end}
}
