package app

import (
	"context"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// pools are the pools that run, by name.
type pools struct {
	mu  sync.Mutex
	all map[string]*workers.Pool
}

// list returns the pools in order of their names.
func (p *pools) list() []*workers.Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]*workers.Pool, 0, len(p.all))
	for _, name := range slices.Sorted(maps.Keys(p.all)) {
		list = append(list, p.all[name])
	}
	return list
}

// find returns the pool of this name or nil.
func (p *pools) find(name string) *workers.Pool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all[name]
}

func (p *pools) add(pool *workers.Pool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.all[pool.Name()] = pool
}

// stop drains all pools at once.
func (p *pools) stop(ctx context.Context, log *slog.Logger) {
	var group sync.WaitGroup
	for _, pool := range p.list() {
		group.Go(func() {
			if err := pool.Stop(ctx); err != nil {
				log.Warn("pool did not stop in time", "pool", pool.Name(), "error", err)
			}
		})
	}
	group.Wait()
}

// poolConfig translates the configuration of one pool.
func (a *App) poolConfig(name string, c *config.Pool) workers.Config {
	env := make([]string, 0, len(c.Env))
	for _, key := range slices.Sorted(maps.Keys(c.Env)) {
		env = append(env, key+"="+c.Env[key])
	}
	nice := c.Nice
	if nice == 0 {
		nice = -1 // the pool takes 0 for its default
	}
	return workers.Config{
		Name: name, App: c.App, Remote: c.Remote, Python: c.Python, Dir: c.Dir, Min: c.Min, Max: c.Size(), StartTimeout: c.StartTimeout, Grace: c.Grace,
		CancelGrace: min(c.Grace, 2*time.Second), IdleAfter: c.Idle, MaxTasks: c.MaxTasks, MaxAge: c.MaxAge,
		RecycleMemory: int64(c.RecycleMemory), MaxMemory: int64(c.MaxMemory), Nice: nice, Threads: c.Threads, Env: env, Zygote: c.Zygote,
		QueuedCalls: c.QueuedCalls, Spool: filepath.Join(a.config.Engine.Data, "spool", name), Runtime: a.runtime,
	}
}

// openPool starts a pool and lets its functions be used.
func (a *App) openPool(ctx context.Context, name string, c *config.Pool) error {
	h := &host{pool: name, log: a.log, health: a.health, deaths: a.deaths}
	if c.Remote {
		h.joined = func() { go a.joined(name) }
	}
	pool, err := workers.Open(ctx, a.poolConfig(name, c), h, a.log)
	if err != nil {
		return err
	}
	err = checkSchedules(pool)
	if err == nil {
		err = a.functions.SetPool(pool)
	}
	if err != nil {
		_ = pool.Stop(ctx)
		return err
	}
	a.pools.add(pool)
	a.jobs.SetPool(pool)
	return nil
}

// joined takes the functions that a remote worker brought.
func (a *App) joined(name string) {
	if pool := a.pools.find(name); pool != nil {
		if err := a.functions.SetPool(pool); err != nil {
			a.log.Error("functions of a remote worker are refused", "pool", name, "error", err)
		}
	}
}

// reloadPool swaps the code of a pool. Jobs that run end on the old code.
func (a *App) reloadPool(ctx context.Context, pool *workers.Pool) error {
	if err := pool.Reload(ctx); err != nil {
		return err
	}
	if err := a.functions.SetPool(pool); err != nil {
		return err
	}
	return checkSchedules(pool)
}

// checkSchedules refuses functions whose cron expression or time zone cannot be read.
func checkSchedules(pool *workers.Pool) error {
	for _, fn := range pool.Functions() {
		if o := &fn.Options; o.Cron != "" {
			if err := jobs.CheckCron(o.Cron, o.Timezone); err != nil {
				return problem.From(err).At("function " + fn.Name + " of pool " + pool.Name())
			}
		}
	}
	return nil
}
