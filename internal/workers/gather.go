package workers

import (
	"bytes"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/workers/frame"
)

// Bounds of a batch whose decorator gave none.
const (
	batchSize  = 32
	batchWait  = 10 * time.Millisecond
	batchBytes = 4 << 20
)

// gathering collects the items of one batch function from all sources until it is due: full, waited long enough, or close to
// the earliest deadline. While no worker is free it keeps filling. Guarded by the pool's lock.
type gathering struct {
	fn    *function
	runs  []*Run
	bytes int
	due   bool
	at    time.Time // when it is due
	clock *time.Timer
}

// group is one call of a batch function.
type group struct {
	fn     *function
	runs   []*Run
	failed []finished // held back until the whole batch has answered
	bodies [][]byte   // of the failures: the same for all items if the function itself raised
}

func (g *gathering) size() int {
	if g.fn.Options.Size > 0 {
		return g.fn.Options.Size
	}
	return batchSize
}

func (g *gathering) limit() int {
	if g.fn.Options.Bytes > 0 {
		return min(g.fn.Options.Bytes, frame.MaxBody/2)
	}
	return batchBytes
}

func (g *gathering) wait() time.Duration {
	if g.fn.Options.Wait > 0 {
		return time.Duration(g.fn.Options.Wait * float64(time.Second))
	}
	return batchWait
}

func (g *gathering) room() int {
	if g.bytes >= g.limit() {
		return 0
	}
	return g.size() - len(g.runs)
}

func (g *gathering) remove(r *Run) {
	if i := slices.Index(g.runs, r); i >= 0 {
		g.runs = slices.Delete(g.runs, i, i+1)
		g.bytes -= frame.TaskSize(r.task.Meta, r.task.Args)
	}
	if len(g.runs) == 0 {
		g.reset()
	}
}

func (g *gathering) reset() {
	if g.clock != nil {
		g.clock.Stop()
	}
	*g = gathering{fn: g.fn}
}

// gatherUp adds an item to the batch that is being gathered; false if that is full.
func (p *Pool) gatherUp(r *Run) bool {
	g, size := r.fn.batch, frame.TaskSize(r.task.Meta, r.task.Args)
	if len(g.runs) > 0 && (g.room() <= 0 || g.bytes+size > g.limit()) {
		g.due = true
		p.serveDue(time.Now())
		if len(g.runs) > 0 {
			return false
		}
	}
	now := time.Now()
	g.runs, g.bytes = append(g.runs, r), g.bytes+size
	at := now.Add(g.wait())
	if d := r.task.Deadline; !d.IsZero() && d.Add(-r.fn.cost()).Before(at) {
		at = d.Add(-r.fn.cost())
	}
	switch {
	case g.room() <= 0:
		g.due = true
		p.serveDue(now)
	case g.clock == nil:
		g.at = at
		g.clock = time.AfterFunc(at.Sub(now), func() { p.ripen(g) })
	case at.Before(g.at):
		g.at = at
		g.clock.Reset(at.Sub(now))
	}
	return true
}

func (p *Pool) ripen(g *gathering) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if len(g.runs) == 0 || g.at.After(now) { // sent meanwhile, and another one has begun
		return
	}
	g.due = true
	p.serveDue(now)
	if len(g.runs) > 0 {
		p.waits()
	}
}

// serveDue gives the batches that are due to idle workers.
func (p *Pool) serveDue(now time.Time) {
	for _, fn := range p.gen.functions {
		g := fn.batch
		if g == nil || !g.due || len(g.runs) == 0 {
			continue
		}
		if w := p.idleFor(fn); w != nil {
			full := &group{fn: fn, runs: g.runs}
			g.runs = nil
			g.reset()
			w.dispatchBatch(full, now)
		}
	}
}

// serveBatches runs the parts of a batch that was split.
func (p *Pool) serveBatches(redo []*group, now time.Time) {
	kept := redo[:0]
	for _, g := range redo {
		if len(g.runs) == 0 {
			continue
		}
		if w := p.idleFor(g.fn); w != nil {
			w.dispatchBatch(g, now)
		} else {
			kept = append(kept, g)
		}
	}
	clear(redo[len(kept):])
	p.redo = kept
}

func (p *Pool) idleFor(fn *function) *worker {
	for _, w := range p.workers {
		if w.accepts() && w.can(fn) && w.credit > 0 && w.idle() {
			return w
		}
	}
	return nil
}

func (w *worker) dispatchBatch(g *group, now time.Time) {
	for _, r := range g.runs {
		r.stopClock()
	}
	w.dispatch(&parcel{runs: g.runs, left: len(g.runs), batch: g}, now)
}

// hold keeps a failure back: it may be the fault of another item.
func (g *group) hold(f finished, body []byte) {
	g.failed = append(g.failed, f)
	g.bodies = append(g.bodies, bytes.Clone(body))
}

// settle decides about the failures of a batch that has answered. If the function itself raised, which is the same error for
// every item, the batch is run again in halves until the bad item is alone.
func (p *Pool) settle(g *group, batch []finished) []finished {
	whole := len(g.runs) > 1 && len(g.failed) == len(g.runs)
	for i, body := range g.bodies {
		whole = whole && g.failed[i].outcome.Ending == Failed && bytes.Equal(body, g.bodies[0])
	}
	if !whole || p.closing {
		return append(batch, g.failed...)
	}
	p.split(g.fn, g.runs)
	return batch
}

// split puts items of a batch back in two halves.
func (p *Pool) split(fn *function, runs []*Run) {
	fn = p.gen.byName[fn.Name] // it may have been reloaded
	for _, r := range runs {
		r.stage, r.worker, r.parcel, r.since = waiting, nil, nil, time.Time{}
		if fn == nil {
			r.stage = ended
			go r.done(Outcome{Ending: Interrupted})
			continue
		}
		r.fn = fn
	}
	if fn == nil {
		return
	}
	half := (len(runs) + 1) / 2
	for _, part := range [][]*Run{runs[:half], runs[half:]} {
		if len(part) > 0 {
			p.redo = append(p.redo, &group{fn: fn, runs: slices.Clone(part)})
		}
	}
}
