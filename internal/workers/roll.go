package workers

import (
	"context"
	"os"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// Reload imports the app anew and switches to it: new workers are ready first, tasks that run on old ones finish there. If the
// import fails, the problem is returned and the old code stays. Remote workers keep what they have.
func (p *Pool) Reload(ctx context.Context) error {
	p.turning.Lock()
	defer p.turning.Unlock()
	if p.cfg.Remote {
		return nil
	}
	spec, err := p.cfg.spec()
	if err != nil {
		return err
	}
	p.mu.Lock()
	n := p.want
	p.mu.Unlock()
	g, fresh, err := p.generate(ctx, spec, n)
	if err != nil {
		return err
	}
	old, err := p.adopt(g, fresh)
	if err != nil {
		return err
	}
	p.mu.Lock()
	for _, w := range old {
		w.retire("reload")
	}
	p.mu.Unlock()
	p.tellFree()
	return nil
}

// Restart replaces every worker, one after another, by one with freshly imported code. Each new one is ready before its
// predecessor is retired.
func (p *Pool) Restart(ctx context.Context) error {
	p.turning.Lock()
	defer p.turning.Unlock()
	if p.cfg.Remote {
		return nil
	}
	spec, err := p.cfg.spec()
	if err != nil {
		return err
	}
	g, fresh, err := p.generate(ctx, spec, 1)
	if err != nil {
		return err
	}
	old, err := p.adopt(g, fresh)
	if err != nil {
		return err
	}
	for i, w := range old {
		if i > 0 {
			next, _, err := p.start(ctx, g)
			if err != nil {
				return err
			}
			p.add(next, g)
		}
		p.mu.Lock()
		w.retire("reload")
		p.mu.Unlock()
	}
	p.tellFree()
	return nil
}

// adopt makes g the current code and returns the workers of the code before, which still take tasks.
func (p *Pool) adopt(g *generation, fresh []*worker) (old []*worker, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closing {
		for _, w := range fresh {
			w.kill("drain")
		}
		g.close()
		return nil, problem.New("HR2014", "pool %s is stopping", p.cfg.Name)
	}
	before := p.gen
	old = slices.DeleteFunc(slices.Clone(p.workers), func(w *worker) bool { return w.remote || w.state >= Draining })
	everyone := slices.Clone(p.workers)
	p.gen = g
	for _, w := range fresh {
		if w.state != Dead {
			p.workers = append(p.workers, w)
		}
	}
	p.failures = 0
	p.rebind(before)
	go func() { // a zygote may take its children with it, so it goes last
		for _, w := range everyone {
			if !w.remote {
				<-w.gone
			}
		}
		before.close()
	}()
	p.serve(time.Now())
	return old, nil
}

// rebind gives what waits to the functions of the current code.
func (p *Pool) rebind(before *generation) {
	var waits []*Run
	waits, p.calls = p.calls, nil
	for _, fn := range before.functions {
		if fn.batch != nil {
			waits = append(waits, fn.batch.runs...)
			fn.batch.reset()
		}
	}
	for _, g := range p.redo {
		waits = append(waits, g.runs...)
	}
	p.redo = nil
	for _, r := range waits {
		fn := p.gen.byName[r.fn.Name]
		if fn == nil || fn.Kind != r.fn.Kind {
			r.stage = ended
			r.stopClock()
			go r.done(Outcome{Ending: Failed, Error: &TaskError{Kind: "error", Type: "HR2003", Message: "the new code has no function " + r.fn.Name}})
			continue
		}
		r.fn = fn
		if fn.batch == nil || !p.gatherUp(r) {
			p.calls = append(p.calls, r)
		}
	}
}

// Drain takes nothing more and waits until every task has ended and every worker has exited. When ctx is done, what still
// runs is cancelled with reason drain, and killed after the cancel grace.
func (p *Pool) Drain(ctx context.Context) {
	p.mu.Lock()
	p.closing = true
	everyone := slices.Clone(p.workers)
	var waits []*Run
	waits, p.calls = p.calls, nil
	for _, g := range p.redo {
		waits = append(waits, g.runs...)
	}
	p.redo = nil
	if p.gen != nil {
		for _, fn := range p.gen.functions {
			if fn.batch != nil {
				waits = append(waits, fn.batch.runs...)
				fn.batch.reset()
			}
		}
	}
	for _, r := range waits {
		r.cancel("drain")
	}
	for _, w := range everyone {
		w.retire("drain")
	}
	p.mu.Unlock()
	release := context.AfterFunc(ctx, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, w := range everyone {
			for _, r := range w.runs {
				r.cancel("drain")
			}
		}
	})
	defer release()
	for _, w := range everyone {
		<-w.gone
	}
}

// Stop drains for the grace period, or until ctx is done, and then ends everything. It is bounded by the sum of both grace
// periods and may be called again.
func (p *Pool) Stop(ctx context.Context) error {
	p.turning.Lock()
	defer p.turning.Unlock()
	if p.ctx.Err() != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Grace)
	defer cancel()
	p.Drain(ctx)
	p.stop()
	p.mu.Lock()
	g := p.gen
	p.mu.Unlock()
	if g != nil {
		g.close()
	}
	p.starter.Close()
	if p.cfg.Spool == "" {
		return os.RemoveAll(p.spool)
	}
	return nil
}
