// Package balance holds the services behind headrace: upstreams by name, the targets of each, who is well, and who takes the next request.
// What it knows of targets stays over a change of the configuration.
package balance

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/service"
	"github.com/headrace/headrace/internal/problem"
)

// Upstream is a service behind headrace as one configuration has it. Its methods may be called from any goroutine, also after another
// configuration is in force: requests that are under way go on with it.
type Upstream struct {
	name    string
	cfg     *config.Upstream
	set     *Set
	tls     *tls.Config
	digest  [sha256.Size]byte // of the files of tls
	record  *record
	breaker breaker
	view    atomic.Pointer[view]

	_    [64]byte
	turn atomic.Uint64
	_    [56]byte

	first sync.WaitGroup // the first look at the addresses of hosts

	mu        sync.Mutex
	sources   []*source
	processes *processes // of run; nil without
	replicas  []*service.Replica
	targets   []*Target
	leaving   []*Target // may still have requests
	failure   string    // of the last look at the addresses of hosts
	current   bool      // it is in force
	followed  bool      // by another of the name
	age       int       // ticks since it left
	ctx       context.Context
	cancel    context.CancelFunc
}

// Name is that of the configuration, or an address that a route names itself.
func (u *Upstream) Name() string { return u.name }

// Title is the name of the upstream for clients, who are not told addresses.
func (u *Upstream) Title() string {
	if strings.Contains(u.name, ":") {
		return "the upstream"
	}
	return "upstream " + u.name
}

// Config is what the upstream was made from. It must not be changed.
func (u *Upstream) Config() *config.Upstream { return u.cfg }

// Pick chooses the target of the next request, or tells at once that there is none: HR4020 if nobody is well, HR4021 while the breaker
// is open. Clients are told no more than the name; why nobody is well is in the status and the condition. A target that is chosen need not be used.
func (u *Upstream) Pick(p *Pick) (*Target, error) {
	if u.cfg.Breaker.Ratio > 0 {
		if left, ok := u.breaker.admit(); !ok {
			return nil, problem.New("HR4021", "too many requests to %s failed, it is tried again in %s", u.Title(), left.Round(time.Millisecond))
		}
	}
	v := u.view.Load()
	if len(v.targets) == 0 {
		return nil, problem.New("HR4020", "no target of %s is well", u.Title())
	}
	switch u.cfg.Balance {
	case "hash":
		return v.hashed(p), nil
	case "random_two":
		return v.better(p), nil
	case "least_connections":
		return v.least(u.turn.Add(1)-1, p), nil
	}
	return v.inTurn(u.turn.Add(1)-1, p), nil
}

// MayRetry takes a repetition from the budget of the upstream; false means that it is used up and the failure must be answered.
func (u *Upstream) MayRetry() bool { return u.record.allow(u.cfg.Retry.Budget) }

// open makes an upstream that is not in force yet. The addresses of its hosts are asked for in the background.
func (s *Set) open(ctx context.Context, name string, c *config.Upstream) (*Upstream, error) {
	u := &Upstream{name: name, cfg: c, set: s, record: s.recordOf(name), breaker: breaker{cfg: c.Breaker}}
	u.ctx, u.cancel = context.WithCancel(s.ctx)
	var err error
	if u.tls, u.digest, err = newTLS(name, c); err != nil {
		return nil, err
	}
	if u.sources, err = parseAll(c); err != nil {
		return nil, problem.New("HR9003", "%w", err).At("upstreams." + name + ".targets")
	}
	if c.Run != "" {
		if s.services == nil {
			return nil, problem.New("HR4023", "processes cannot be run here").At("upstreams." + name + ".run")
		}
		if err := s.services.Check(name, c); err != nil {
			return nil, err
		}
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.arrange()
	for _, source := range u.sources {
		if source.host != "" {
			u.first.Go(func() { u.lookup(ctx, source) })
		}
	}
	return u, nil
}

// same tells whether a configuration would make the same upstream.
func (u *Upstream) same(c *config.Upstream) bool {
	if !equal(u.cfg, c) {
		return false
	}
	_, digest, err := newTLS(u.name, c)
	return err == nil && digest == u.digest
}

// enter puts the upstream in force.
func (u *Upstream) enter() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.current = true
	for _, s := range u.sources {
		if s.host != "" {
			u.set.work.Go(func() { u.watch(u.ctx, s) })
		}
	}
	for _, t := range u.targets {
		u.startChecks(t)
	}
	u.refresh()
}

// leave takes it out of force: nothing is looked after any more, but requests that hold it are served. Where no other of the name follows,
// its condition is over.
func (u *Upstream) leave(followed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.current, u.followed = false, followed
	u.cancel()
	if !followed {
		u.set.health.Clear(upstreamDown, u.name)
	}
}

// close lets go of all connections.
func (u *Upstream) close() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.current = false
	u.cancel()
	for _, t := range slices.Concat(u.targets, u.leaving) {
		t.close()
	}
	u.leaving = nil
}

// arrange makes the targets of what the sources and processes are now. Those that are there already stay, those that are no more leave.
// It is called with the mutex held.
func (u *Upstream) arrange() {
	var list []address
	for _, s := range u.sources {
		if s.host == "" {
			list = append(list, s.address)
		}
		for _, ip := range s.found {
			list = append(list, s.at(ip))
		}
	}
	now := make([]*Target, 0, len(list)+len(u.replicas))
	old := slices.Clone(u.targets)
	keep := func(a address) (*Target, bool) {
		i := slices.IndexFunc(old, func(t *Target) bool { return t.name == a.name && t.dial == a.dial })
		if i < 0 {
			return u.newTarget(a), true
		}
		t := old[i]
		old = slices.Delete(old, i, i+1)
		return t, false
	}
	var fresh []*Target
	for _, a := range list {
		t, isNew := keep(a)
		if isNew {
			fresh = append(fresh, t)
		}
		now = append(now, t)
	}
	for _, r := range u.replicas {
		t, isNew := keep(ofReplica(u.name, r))
		if isNew {
			t.replica = r
			t.checked = true // it was found ready
			fresh = append(fresh, t)
		}
		now = append(now, t)
	}
	for _, t := range old {
		t.left = true
		t.stop()
		t.closeIdle() // a process may wait for that before it ends
		u.leaving = append(u.leaving, t)
	}
	u.targets = now
	if u.current {
		for _, t := range fresh {
			u.startChecks(t)
		}
	}
	u.refresh()
}

// startChecks begins the health checks of a target. It is called with the mutex held.
func (u *Upstream) startChecks(t *Target) {
	if u.cfg.Health.Path == "" || t.checking {
		return
	}
	t.checking = true
	ctx, stop := context.WithCancel(u.ctx)
	t.stop = stop
	u.set.work.Go(func() { u.check(ctx, t) })
}

// quietTicks is how many seconds without requests let go of what has left: a request may have chosen it and not begun yet.
const quietTicks = 3

// tick is called once a second; it tells whether an upstream that is not in force any more can be closed.
func (u *Upstream) tick() (quiet bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.leaving = slices.DeleteFunc(u.leaving, func(t *Target) bool {
		done := t.quiet()
		if done {
			t.close()
		}
		return done
	})
	if u.current {
		return false
	}
	u.age++
	quiet = len(u.leaving) == 0
	for _, t := range u.targets {
		quiet = t.quiet() && quiet
	}
	return quiet
}

func (t *Target) quiet() bool {
	if t.idle++; t.Busy() > 0 {
		t.idle = 0
	}
	return t.idle > quietTicks
}
