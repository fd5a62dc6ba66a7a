package jobs

import (
	"container/heap"
	"context"
	"time"

	"github.com/headrace/headrace/internal/workers"
)

// timers is the clock of the plane: one heap of jobs by the time of their next change, and the queues whose rate opens again.
type timers struct {
	heap  jobHeap
	rates map[*queue]time.Time
}

func (t *timers) remove(b *job) {
	if b.slot >= 0 {
		heap.Remove(&t.heap, b.slot)
	}
}

func (t *timers) setRate(q *queue, at time.Time) {
	if t.rates == nil {
		t.rates = map[*queue]time.Time{}
	}
	t.rates[q] = at
}

// setTimer puts the job's next change by time on the clock: due, queue timeout or expiry.
func (j *Jobs) setTimer(b *job) {
	var at time.Time
	sooner := func(t time.Time) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	switch b.state {
	case Scheduled:
		sooner(b.RunAt)
		sooner(b.Expires)
	case Waiting:
		sooner(b.Expires)
	case Ready:
		sooner(b.Expires)
		if limit := b.Policy.Value().QueueTimeout; limit > 0 {
			sooner(b.readyAt.Add(limit))
		}
	}
	if at.IsZero() {
		j.timers.remove(b)
		return
	}
	b.wake = at
	if b.slot >= 0 {
		heap.Fix(&j.timers.heap, b.slot)
	} else {
		heap.Push(&j.timers.heap, b)
	}
	if b.slot == 0 {
		j.nudge()
	}
}

// nudge makes the timer look at its head again.
func (j *Jobs) nudge() {
	select {
	case j.tick <- struct{}{}:
	default:
	}
}

// timing carries out what is due.
func (j *Jobs) timing(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.tick:
		case <-timer.C:
		}
		timer.Reset(j.expireDue(time.Now()))
	}
}

// expireDue handles everything due and returns the time until the next.
func (j *Jobs) expireDue(now time.Time) time.Duration {
	const idle = time.Minute
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.timers.heap) > 0 && !j.timers.heap[0].wake.After(now) {
		b := heap.Pop(&j.timers.heap).(*job)
		j.due(b, now)
	}
	wait := idle
	if len(j.timers.heap) > 0 {
		wait = min(wait, j.timers.heap[0].wake.Sub(now))
	}
	for q, at := range j.timers.rates {
		if left := at.Sub(now); left > 0 {
			wait = min(wait, left)
		} else {
			delete(j.timers.rates, q)
			j.kick()
		}
	}
	return max(min(wait, j.fireCrons(now)), 0)
}

// due changes one job whose time has come.
func (j *Jobs) due(b *job, now time.Time) {
	switch {
	case !b.Expires.IsZero() && !now.Before(b.Expires):
		j.expire(b, now)
	case b.state == Scheduled:
		j.ready(b, now, false)
		j.kick()
	case b.state == Ready:
		j.end(b, Expired, nil, &Attempt{Number: b.number(), Run: b.runs, Ended: now, Ending: "expired",
			Error: &workers.TaskError{Kind: "fail", Type: "QueueTimeout", Message: "no worker was free within " + b.Policy.Value().QueueTimeout.String()}}, now)
	}
}

// jobHeap implements heap.Interface by wake.
type jobHeap []*job

func (h jobHeap) Len() int           { return len(h) }
func (h jobHeap) Less(a, b int) bool { return h[a].wake.Before(h[b].wake) }
func (h jobHeap) Swap(a, b int) {
	h[a], h[b] = h[b], h[a]
	h[a].slot, h[b].slot = a, b
}

// Push implements heap.Interface.
func (h *jobHeap) Push(x any) {
	b := x.(*job)
	b.slot = len(*h)
	*h = append(*h, b)
}

// Pop implements heap.Interface.
func (h *jobHeap) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	b.slot = -1
	return b
}
