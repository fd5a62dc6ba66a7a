package balance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/gateway/service"
)

// processes joins a service with the upstreams that use it: the one in force, and former ones as long as requests hold them.
type processes struct {
	set     *Set
	name    string
	service *service.Service

	mu    sync.Mutex
	list  []*service.Replica // that are ready
	users []*Upstream
}

// run starts the service of an upstream, or tells it what has changed. It is called with the mutex of the set held.
func (s *Set) run(u *Upstream) {
	p := s.processes[u.name]
	if p == nil {
		p = &processes{set: s, name: u.name}
		s.processes[u.name] = p
		p.join(u)
		p.service = s.services.Open(u.name, u.cfg, p.changed)
		return
	}
	p.join(u)
	p.service.Change(u.cfg)
}

// Await waits until each service of the upstreams in force has a process that takes requests, has failed, or is out of its start_timeout; the
// latter two are logged. It ends with the context at the latest.
func (s *Set) Await(ctx context.Context) {
	s.mu.Lock()
	all := slices.Collect(maps.Values(s.processes))
	s.mu.Unlock()
	var waiting sync.WaitGroup
	for _, p := range all {
		waiting.Go(func() {
			if err := p.service.Await(ctx); err != nil && ctx.Err() == nil {
				s.log.Error("service is not waited for any longer", "service", p.name, "error", err)
			}
		})
	}
	waiting.Wait()
}

func (p *processes) join(u *Upstream) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.users = append(p.users, u)
	u.mu.Lock()
	u.processes = p
	u.mu.Unlock()
	u.ready(p.list)
}

// changed is called by the service when processes become ready or are no more, one call after the other.
func (p *processes) changed(list []*service.Replica) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list = list
	for _, u := range p.users {
		u.ready(list)
	}
}

// release ends the use by an upstream; the last one closes the service. It is called with the mutex of the set held.
func (p *processes) release(u *Upstream) {
	p.mu.Lock()
	p.users = slices.DeleteFunc(p.users, func(x *Upstream) bool { return x == u })
	last := len(p.users) == 0
	p.mu.Unlock()
	u.mu.Lock()
	u.processes = nil
	u.mu.Unlock()
	if last {
		delete(p.set.processes, p.name)
		p.service.Close()
	}
}

// restart has a process replaced that has been unhealthy for restart_after: it may hang, and does not end by itself. It was well before, since
// a process is a target only once it is ready.
func (u *Upstream) restart(t *Target) {
	u.mu.Lock()
	p, why, since := u.processes, t.why, t.since
	due := p != nil && t.replica != nil && t.bad && !t.left && u.cfg.RestartAfter > 0 && time.Since(since) >= u.cfg.RestartAfter
	u.mu.Unlock()
	if due {
		p.service.Restart(t.replica, fmt.Sprintf("unhealthy for %s: %s", time.Since(since).Round(time.Millisecond), why))
	}
}

func (u *Upstream) ready(list []*service.Replica) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.replicas = list
	u.arrange()
}

// ofReplica is the address of a process; as a host it is localhost, over TCP as well.
func ofReplica(name string, r *service.Replica) address {
	a := socket(fmt.Sprintf("%s/%d", name, r.Number), r.Address, 1)
	a.network = r.Network
	return a
}
