package balance

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// firstLookup is how long Commit waits for the addresses of new hosts, so that the first requests find them.
const firstLookup = 2 * time.Second

// Change is a configuration that is ready to be put in force. It is used by one goroutine, and ends with Commit or Discard.
type Change struct {
	set    *Set
	ctx    context.Context
	next   map[string]*Upstream
	opened []*Upstream
}

// Prepare makes the upstreams of a configuration that are new or changed, by which nothing changes yet: no connection, process or health
// check is begun, only names are resolved. An upstream that is in force and unchanged, files of its TLS included, is the same object.
// The error is a problem: HR4022 of TLS, HR4023 of a command that cannot be run.
func (s *Set) Prepare(ctx context.Context, c *config.Config) (*Change, error) {
	change := &Change{set: s, ctx: ctx, next: map[string]*Upstream{}}
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		if _, err := change.open(name, c.Upstreams[name]); err != nil {
			change.Discard()
			return nil, err
		}
	}
	return change, nil
}

func (c *Change) open(name string, cfg *config.Upstream) (*Upstream, error) {
	if u := c.set.Find(name); u != nil && u.same(cfg) {
		c.next[name] = u
		return u, nil
	}
	u, err := c.set.open(c.ctx, name, cfg)
	if err != nil {
		return nil, err
	}
	c.next[name] = u
	c.opened = append(c.opened, u)
	return u, nil
}

// Find returns the upstream that will have that name, nil if there is none. An address, as in http://127.0.0.1:9000, is an upstream with
// defaults and this target; it is in force as long as each change asks for it before Commit.
func (c *Change) Find(name string) *Upstream {
	if u := c.next[name]; u != nil || !strings.Contains(name, ":") {
		return u
	}
	cfg := config.DefaultUpstream()
	cfg.Targets = []config.Target{{URL: name, Weight: 1}}
	u, err := c.open(name, cfg)
	if err != nil {
		return nil
	}
	return u
}

// Discard lets go of what was made. Nothing has changed.
func (c *Change) Discard() {
	for _, u := range c.opened {
		u.close()
	}
	c.opened = nil
}

// Commit puts the upstreams in force. Requests that hold former ones go on with them. It waits at most two seconds, for the addresses of
// new hosts.
func (c *Change) Commit() {
	c.await()
	s := c.set
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ctx.Err() != nil {
		return
	}
	for _, u := range c.opened {
		old := s.upstreams[u.name]
		if old != nil {
			u.adopt(old)
			old.leave(true)
			s.retired = append(s.retired, old)
		}
		s.upstreams[u.name] = u
		if u.cfg.Run != "" {
			s.run(u)
		}
		u.enter()
	}
	for name, u := range s.upstreams {
		if c.next[name] == nil {
			u.leave(false)
			s.retired = append(s.retired, u)
			delete(s.upstreams, name)
		}
	}
}

func (c *Change) await() {
	done := make(chan struct{})
	go func() {
		for _, u := range c.opened {
			u.first.Wait()
		}
		close(done)
	}()
	timer := time.NewTimer(firstLookup)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
	}
}
