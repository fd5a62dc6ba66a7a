package workers

import (
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

const (
	busyCPU    = 0.9 // no worker is added while the machine is busier than this
	slowProbe  = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
)

// backoff is the pause before the next start after some that failed.
func backoff(failures int) time.Duration {
	if failures == 0 {
		return 0
	}
	return min(maxBackoff, 50*time.Millisecond<<min(failures-1, 10))
}

// refill starts workers until there are as many as wanted.
func (p *Pool) refill() {
	if p.closing || p.gen == nil {
		return
	}
	for live := p.live(); live+p.growing < p.want; {
		p.growing++
		go p.grow(p.gen, backoff(p.failures))
	}
}

// live is how many local workers take tasks.
func (p *Pool) live() (n int) {
	for _, w := range p.workers {
		if w.accepts() && !w.remote {
			n++
		}
	}
	return n
}

func (p *Pool) grow(g *generation, pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-p.ctx.Done():
	}
	w, _, err := p.start(p.ctx, g)
	p.mu.Lock()
	p.growing--
	if err != nil && g == p.gen && !p.closing {
		p.failedStart([]string{err.Error()})
	}
	p.mu.Unlock()
	if err == nil {
		p.add(w, g)
	}
	p.mu.Lock()
	p.refill()
	p.mu.Unlock()
}

// add lets a ready worker take tasks.
func (p *Pool) add(w *worker, g *generation) bool {
	p.mu.Lock()
	switch {
	case w.state == Dead:
	case p.closing || g != p.gen:
		w.kill("reload")
	default:
		p.workers = append(p.workers, w)
		p.serve(time.Now())
		p.mu.Unlock()
		p.tellFree()
		return true
	}
	p.mu.Unlock()
	return false
}

// failedStart counts a start that failed, and makes the pool unhealthy when there were too many.
func (p *Pool) failedStart(last []string) {
	p.failures++
	p.log.Error("worker failed to start", "failures", p.failures, "next_try_in", backoff(p.failures), "last", strings.Join(last, "\n"))
	if p.failures >= p.cfg.FastDeaths && p.sick == nil {
		p.sick = problem.New("HR6005", "%d workers of pool %s in a row died as they started", p.failures, p.cfg.Name).At(strings.Join(last, "\n"))
		p.log.Error("pool is unhealthy", "error", p.sick)
		go p.host.Health(p.sick)
	}
}

// review has a worker replaced if it has done enough, is too old or too large.
func (p *Pool) review(w *worker) {
	old := p.cfg.MaxAge > 0 && time.Since(w.started) > p.cfg.MaxAge
	full := w.limit > 0 && w.tasks >= w.limit
	large := p.cfg.RecycleMemory > 0 && w.rss > p.cfg.RecycleMemory
	if !(old || full || large) || w.replaced || w.remote || !w.accepts() || p.closing {
		return
	}
	w.replaced = true
	go p.replace(w, p.gen)
}

// replace makes a new worker before the old one is retired.
func (p *Pool) replace(old *worker, g *generation) {
	w, _, err := p.start(p.ctx, g)
	if err == nil && p.add(w, g) {
		p.mu.Lock()
		old.retire("recycled")
		p.mu.Unlock()
		return
	}
	p.mu.Lock()
	if err != nil && g == p.gen && !p.closing {
		p.failedStart([]string{err.Error()})
	}
	pause := backoff(max(1, p.failures))
	p.mu.Unlock()
	time.AfterFunc(pause, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		old.replaced = false
		p.review(old)
	})
}

// waits notes that there is work without a worker: if that is still so a little later, the pool grows.
func (p *Pool) waits() {
	if !p.probing && p.want < p.cfg.Max {
		p.probing = true
		time.AfterFunc(waitTooLong, p.probe)
	}
}

func (p *Pool) probe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.probing = false
	idle := slices.ContainsFunc(p.workers, func(w *worker) bool { return w.accepts() && w.idle() })
	if idle || p.closing || p.want >= p.cfg.Max {
		return
	}
	if p.growing > 0 || p.cpu > p.cfg.MaxCPU {
		p.probing = true
		time.AfterFunc(slowProbe, p.probe)
		return
	}
	p.want++
	p.refill()
}

// tend looks after the workers until the pool stops: memory, age, idle ones, the zygote, health.
func (p *Pool) tend() {
	ticker := time.NewTicker(p.cfg.WatchEvery)
	defer ticker.Stop()
	meter := newMeter()
	for round := 0; ; round++ {
		select {
		case <-p.ctx.Done():
			return
		case <-ticker.C:
		}
		var look []*worker
		p.mu.Lock()
		for _, w := range p.workers {
			if !w.remote && (w.state != Ready || round%10 == 0) {
				look = append(look, w)
			}
		}
		g := p.gen
		p.mu.Unlock()
		sizes := make([]int64, len(look))
		for i, w := range look {
			sizes[i] = residentBytes(w.pid)
		}
		cpu := 0.0
		if p.cfg.Max > p.cfg.Min {
			cpu = meter.busy()
		}
		p.mu.Lock()
		p.cpu = cpu
		for i, w := range look {
			if w.reason == "out_of_memory" { // what it had when it was killed is told of its death; by now it may have less
				continue
			}
			w.rss = sizes[i]
			if most := p.cfg.MaxMemory; most > 0 && w.rss > most && w.state >= Busy && w.state < Dead {
				p.log.Warn("worker is over its memory limit", "worker", w.name, "resident", w.rss, "limit", most)
				w.kill("out_of_memory")
			}
		}
		p.trim()
		p.recover()
		p.mu.Unlock()
		p.revive(g)
	}
}

// trim reviews all workers and retires those that are too many.
func (p *Pool) trim() {
	live := p.live()
	for _, w := range p.workers {
		p.review(w)
		quiet := w.state == Ready && w.idle()
		switch {
		case !quiet || w.remote:
		case live > p.want && !w.replaced && time.Since(w.since) > slowProbe:
			live--
			w.retire("idle")
		case live > p.cfg.Min && live == p.want && p.growing == 0 && time.Since(w.since) > p.cfg.IdleAfter:
			p.want--
			live--
			w.retire("idle")
		}
	}
}

// recover calls the pool healthy once a worker has proved itself.
func (p *Pool) recover() {
	if p.failures == 0 && p.sick == nil {
		return
	}
	proved := slices.ContainsFunc(p.workers, func(w *worker) bool {
		return w.accepts() && time.Since(w.started) > max(time.Second, 2*backoff(p.failures))
	})
	if !proved {
		return
	}
	p.failures = 0
	if p.sick != nil {
		p.sick = nil
		p.log.Info("pool is healthy again")
		go p.host.Health(nil)
	}
}

// revive starts a new zygote if the one of the current code has died; until it is there, workers are spawned.
func (p *Pool) revive(g *generation) {
	g.mu.Lock()
	z := g.zygote
	if z != nil {
		select {
		case <-z.Exited():
			g.zygote = nil
		default:
			z = nil
		}
	}
	g.mu.Unlock()
	if z == nil {
		return
	}
	z.Close()
	p.log.Warn("zygote died", "pid", z.Pid)
	go func() {
		for tries := 1; ; tries++ {
			_, err := p.incubate(p.ctx, g)
			if err == nil {
				return
			}
			p.log.Error("zygote cannot be started", "error", err)
			select {
			case <-p.ctx.Done():
				return
			case <-time.After(backoff(tries)):
			}
		}
	}()
}
