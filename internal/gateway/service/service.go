package service

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// Service is the processes of one upstream.
type Service struct {
	supervisor *Supervisor
	name       string
	changed    func([]*Replica)
	ctx        context.Context
	cancel     context.CancelFunc

	publishing sync.Mutex // orders the calls of changed
	rolling    sync.Mutex // one replacement at a time, of all processes or of one that does not answer

	mu    sync.Mutex
	cfg   *config.Upstream
	era   context.Context // of the command: processes of a former one that are not ready yet are given up
	over  context.CancelFunc
	slots []*slot
	sick  map[int]bool // slots whose processes fail
	late  bool         // none was ready in time, and none is
	begun bool         // first is closed
	first chan struct{}
}

// Change takes a new configuration: another number of replicas is reached at once; if the command, its folder or its environment is
// another one, the processes are replaced in the background, which is tried until it succeeds. The rest holds for new processes.
func (v *Service) Change(c *config.Upstream) {
	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.cfg
	v.cfg = c
	v.fit()
	if v.ctx.Err() == nil && (old.Run != c.Run || old.Directory != c.Directory || !maps.Equal(old.Env, c.Env)) {
		v.begin()
		era := v.era
		v.supervisor.work.Go(func() { v.roll(era) })
	}
}

// begin gives up starting what a former command was. It is called with the mutex held.
func (v *Service) begin() {
	if v.over != nil {
		v.over()
	}
	v.era, v.over = context.WithCancel(v.ctx)
}

// fit makes as many slots as there are to be replicas. It is called with the mutex held.
func (v *Service) fit() {
	if v.ctx.Err() != nil {
		return
	}
	for len(v.slots) < v.cfg.Replicas {
		k := &slot{service: v, number: len(v.slots) + 1, since: time.Now(), orders: make(chan order), ends: make(chan ending)}
		k.ctx, k.cancel = context.WithCancel(v.ctx)
		v.slots = append(v.slots, k)
		v.supervisor.work.Go(k.run)
	}
	for _, k := range v.slots[v.cfg.Replicas:] {
		k.cancel()
	}
	v.slots = v.slots[:v.cfg.Replicas]
}

// Replace replaces all processes by new ones; see Supervisor.Replace.
func (v *Service) Replace(ctx context.Context) error {
	v.rolling.Lock()
	defer v.rolling.Unlock()
	v.mu.Lock()
	slots := slices.Clone(v.slots)
	v.mu.Unlock()
	for _, k := range slots {
		if err := k.replace(ctx); err != nil {
			v.stays(err)
			return err
		}
	}
	v.supervisor.health.Clear(notReplaced, v.name)
	return nil
}

// stays raises the condition of a replacement that failed, until one succeeds.
func (v *Service) stays(why error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	given := errors.Is(why, errOutdated) || errors.Is(why, context.Canceled) // up by who asked for it, or for another command
	if v.ctx.Err() == nil && !given {
		v.supervisor.health.Raise(notReplaced, v.name, "%s", problem.From(why).What)
	}
}

// Restart ends a process that was ready and does not answer any more: it is told to end, killed after grace, and another is started. It returns
// at once. While a process of the service is being replaced it does nothing, so that one after the other is restarted; who calls does so again.
func (v *Service) Restart(r *Replica, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	i := slices.IndexFunc(v.slots, func(k *slot) bool { return k.current == r })
	if i < 0 || v.ctx.Err() != nil || !v.rolling.TryLock() {
		return
	}
	k := v.slots[i]
	v.supervisor.work.Go(func() {
		defer v.rolling.Unlock()
		k.restart(r, why)
	})
}

// roll replaces all processes until it succeeds or there is another command.
func (v *Service) roll(era context.Context) {
	for failures := 1; era.Err() == nil; failures++ {
		err := v.Replace(era)
		if err == nil || era.Err() != nil {
			return
		}
		v.supervisor.log.Error("processes cannot be replaced, the old ones stay", "service", v.name, "error", err, "next_try_in", backoff(failures))
		timer := time.NewTimer(jitter(backoff(failures)))
		select {
		case <-timer.C:
		case <-era.Done():
			timer.Stop()
		}
	}
}

// Close ends the service in the background: its processes get no more requests, and are ended when theirs have.
func (v *Service) Close() error {
	s := v.supervisor
	s.mu.Lock()
	if s.services[v.name] == v {
		delete(s.services, v.name)
	}
	s.mu.Unlock()
	v.cancel()
	v.mu.Lock()
	defer v.mu.Unlock()
	s.health.Clear(failing, v.name)
	s.health.Clear(notReplaced, v.name)
	return nil
}

// publish puts a process in the place of that of a slot, and tells who sends requests.
func (v *Service) publish(k *slot, r *Replica) {
	v.publishing.Lock()
	defer v.publishing.Unlock()
	v.mu.Lock()
	k.current = r
	k.since = time.Now()
	var list []*Replica
	for _, k := range v.slots {
		if k.current != nil {
			list = append(list, k.current)
		}
	}
	v.mu.Unlock()
	v.changed(list)
	if r != nil {
		v.serves()
	}
}

// suffers raises the condition of the service while processes of a slot fail, and ends it when those of none do.
func (v *Service) suffers(k *slot, failures int, why string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.sick == nil {
		v.sick = map[int]bool{}
	}
	h := v.supervisor.health
	switch {
	case v.ctx.Err() != nil:
	case failures >= manyFailures:
		v.sick[k.number] = true
		if len(v.sick) >= len(v.slots) {
			v.decided()
		}
		h.Raise(failing, v.name, "replica %d failed %d times in a row: %s", k.number, failures, why)
	case failures == 0:
		delete(v.sick, k.number)
		if len(v.sick) == 0 {
			h.Clear(failing, v.name)
		}
	}
}
