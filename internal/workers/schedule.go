package workers

import (
	"fmt"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/frame"
)

// Offer hands a task to a worker with room. It never blocks; false means that there is no room now, and OnFree tells when
// there may be. The task is on its way after Flush. A function that the pool does not have ends with Failed at once.
func (p *Pool) Offer(t *Task) (*Run, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return nil, false
	}
	r, ok := p.admit(t)
	if !ok {
		return r, true
	}
	if r.fn.batch != nil {
		if !p.gatherUp(r) {
			return nil, p.refuse()
		}
		return r, true
	}
	if len(p.calls) > 0 || !p.place(r, time.Now()) {
		return nil, p.refuse()
	}
	return r, true
}

// refuse notes that work waits.
func (p *Pool) refuse() bool {
	p.waits()
	return false
}

// Call hands over a synchronous call: it goes ahead of jobs and is on its way at once if a worker has room. Otherwise it
// waits in a list of QueuedCalls; a full list is HR2014, and a call that waited for patience ends with Interrupted and a TaskError
// of type HR2014. A pool whose workers all fail to start is HR6005.
func (p *Pool) Call(t *Task, patience time.Duration) (*Run, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		return nil, problem.New("HR2014", "pool %s is stopping", p.cfg.Name)
	}
	if p.sick != nil && !slices.ContainsFunc(p.workers, (*worker).accepts) {
		return nil, p.sick
	}
	r, ok := p.admit(t)
	if !ok {
		return r, nil
	}
	now := time.Now()
	if r.fn.batch != nil && p.gatherUp(r) {
		r.clock = time.AfterFunc(patience, func() { p.tooLate(r, patience) })
		return r, nil
	}
	if r.fn.batch == nil && p.place(r, now) {
		r.worker.seal(now)
		return r, nil
	}
	if len(p.calls) >= p.cfg.QueuedCalls {
		return nil, problem.New("HR2014", "%d calls already wait for a worker of pool %s", len(p.calls), p.cfg.Name)
	}
	p.calls = append(p.calls, r)
	p.waits()
	r.clock = time.AfterFunc(patience, func() { p.tooLate(r, patience) })
	return r, nil
}

// tooLate ends a call that no worker took.
func (p *Pool) tooLate(r *Run, patience time.Duration) {
	p.mu.Lock()
	waits := r.stage == waiting && r.reason == ""
	if waits {
		p.withdraw(r)
	}
	p.mu.Unlock()
	if waits {
		r.done(Outcome{Ending: Interrupted, Error: &TaskError{Kind: "error", Type: "HR2014",
			Message: fmt.Sprintf("no worker of pool %s was free within %s", p.cfg.Name, patience)}})
	}
}

// admit makes a run of a task that can be run at all; false if it has ended already.
func (p *Pool) admit(t *Task) (*Run, bool) {
	r := &Run{pool: p, task: t, fn: p.gen.byName[t.Function]}
	var e *TaskError
	switch size := frame.TaskSize(t.Meta, t.Args); {
	case r.fn == nil:
		e = &TaskError{Kind: "error", Type: "HR2003", Message: "pool " + p.cfg.Name + " has no function " + t.Function}
	case size > frame.MaxBody-frame.HeaderSize:
		e = &TaskError{Kind: "arguments", Type: "HR2002", Message: fmt.Sprintf("%d bytes of arguments do not fit a frame of 16 MiB; hand over a blob", size)}
	default:
		return r, true
	}
	r.stage = ended
	go r.done(Outcome{Ending: Failed, Error: e})
	return r, false
}

// place gathers a task for the best worker: an idle one, or for short functions the one with the least work ahead.
func (p *Pool) place(r *Run, now time.Time) bool {
	w := p.best(r.fn, frame.TaskSize(r.task.Meta, r.task.Args), now)
	if w == nil {
		return false
	}
	r.stage, r.worker = gathered, w
	r.stopClock()
	if r.fn.Async {
		w.async = true
	}
	w.gather = append(w.gather, r)
	if len(w.gather) >= frameTasks {
		w.seal(now)
	}
	return true
}

func (p *Pool) best(fn *function, size int, now time.Time) *worker {
	var best *worker
	var least time.Duration
	for _, w := range p.workers {
		if !w.accepts() || !w.can(fn) || w.credit == 0 {
			continue
		}
		if w.idle() {
			return w
		}
		if load, ok := w.room(fn, size, now); ok && (best == nil || load < least) {
			best, least = w, load
		}
	}
	return best
}

// room tells whether a worker that is not idle may get one more task of fn, and how much it has ahead.
func (w *worker) room(fn *function, size int, now time.Time) (load time.Duration, ok bool) {
	ahead := len(w.runs) + len(w.gather)
	if fn.Async {
		return time.Duration(ahead), w.async && ahead < min(fn.abreast(), w.credit)
	}
	if w.async || !fn.short() {
		return 0, false
	}
	head := w.head()
	if head != nil && now.Sub(head.since) > stuckAfter {
		return 0, false
	}
	gathering := 0
	bytes := size
	for _, r := range w.order {
		if r.stage != ended {
			if !r.fn.short() || r.parcel.batch != nil {
				return 0, false
			}
			load += r.fn.cost()
		}
	}
	var work time.Duration
	for _, r := range w.gather {
		if !r.fn.short() {
			return 0, false
		}
		work += r.fn.cost()
		bytes += frame.TaskSize(r.task.Meta, r.task.Args)
		gathering++
	}
	if gathering == 0 {
		return load, w.parcels < frameAhead
	}
	return load + work, w.parcels < frameAhead && work+fn.cost() <= frameWork && bytes <= frame.MaxBody
}

// Flush sends what Offer gathered, one frame for each worker.
func (p *Pool) Flush() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flush(time.Now())
}

func (p *Pool) flush(now time.Time) {
	for _, w := range p.workers {
		w.seal(now)
	}
}

// serve gives free workers what waits: the halves of batches that failed, then calls, then batches that are due.
func (p *Pool) serve(now time.Time) {
	p.serveBatches(p.redo, now)
	kept := p.calls[:0]
	for _, r := range p.calls {
		if r.fn.batch != nil {
			if !p.gatherUp(r) {
				kept = append(kept, r)
			}
		} else if !p.place(r, now) {
			kept = append(kept, r)
		}
	}
	clear(p.calls[len(kept):])
	p.calls = kept
	p.serveDue(now)
	p.flush(now)
}

// freed serves what waits after a worker got room.
func (p *Pool) freed(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closing {
		p.serve(now)
	}
}

// tellFree calls what OnFree registered.
func (p *Pool) tellFree() {
	if f := p.onFree.Load(); f != nil {
		(*f)()
	}
}

// OnFree registers f, which is called without locks after there may be room for an Offer, and must not block. Only the last f counts.
func (p *Pool) OnFree(f func()) { p.onFree.Store(&f) }

// Room is a hint: how many more tasks of the function would be accepted now.
func (p *Pool) Room(name string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	fn := p.gen.byName[name]
	if fn == nil || p.closing || len(p.calls) > 0 {
		return 0
	}
	if fn.batch != nil {
		return fn.batch.room()
	}
	n, now := 0, time.Now()
	for _, w := range p.workers {
		if !w.accepts() || !w.can(fn) || w.credit == 0 {
			continue
		}
		_, more := w.room(fn, 0, now)
		switch {
		case fn.Async && (more || w.idle()):
			n += min(fn.abreast(), w.credit) - len(w.runs) - len(w.gather)
		case fn.short() && (more || w.idle()):
			frames := frameAhead - w.parcels
			n += max(1, frames*min(frameTasks, max(1, int(frameWork/fn.cost()))))
		case w.idle():
			n++
		}
	}
	return n
}

// withdraw takes a task that no worker has seen out of where it waits.
func (p *Pool) withdraw(r *Run) {
	is := func(other *Run) bool { return other == r }
	switch {
	case r.stage == gathered:
		r.worker.gather = slices.DeleteFunc(r.worker.gather, is)
	case r.fn.batch != nil:
		r.fn.batch.remove(r)
		for _, g := range p.redo {
			g.runs = slices.DeleteFunc(g.runs, is)
		}
	}
	p.calls = slices.DeleteFunc(p.calls, is)
	r.stage = ended
	r.stopClock()
}
