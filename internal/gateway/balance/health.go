package balance

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/headrace/headrace/internal/observe"
)

// State is what a target is good for.
type State string

const (
	Healthy   State = "healthy"
	Unhealthy State = "unhealthy" // its answers to health checks are bad
	Ejected   State = "ejected"   // left out for a while after failures
	Starting  State = "starting"  // not checked yet, or back with a share that grows
)

var upstreamDown = &observe.Condition{Code: "upstream-down", Severity: observe.Warning, Title: "no target of an upstream is well"}

// health is what is known of a target; the mutex of its upstream guards it.
type health struct {
	checked  bool // a health check has been answered, or has failed
	bad      bool // by health checks
	ejected  bool
	times    int           // that it was ejected in a row
	lasts    time.Duration // the last time
	returned time.Time     // from the last time
	since    time.Time     // of the state
	why      string        // empty for a target that is well
}

// state is called with the mutex held.
func (t *Target) state() State {
	switch {
	case t.bad:
		return Unhealthy
	case t.ejected:
		return Ejected
	case !t.checked && t.upstream.cfg.Health.Path != "", t.share() < 1:
		return Starting
	}
	return Healthy
}

// change sets a part of the health of a target, and what follows from it for all. It is called with the mutex held.
func (u *Upstream) change(t *Target, why string, set func()) {
	before := t.state()
	set()
	after := t.state()
	t.why = why
	if before != after {
		t.since = time.Now()
		args := []any{"upstream", u.name, "target", t.name, "from", before, "to", after, "why", why}
		if after == Unhealthy || after == Ejected {
			u.set.log.Warn("target is left out", args...)
		} else {
			u.set.log.Info("target", args...)
		}
	}
	u.refresh()
}

// refresh chooses who takes requests: targets that are well; without any those that were not checked yet; without any those that are
// only left out after failures, since a request that may fail is better than one that is refused. It is called with the mutex held.
func (u *Upstream) refresh() {
	var well, unchecked, ejected []*Target
	weighty := 0
	for _, t := range u.targets {
		if t.weight == 0 {
			continue
		}
		weighty++
		switch {
		case t.bad:
		case t.ejected:
			ejected = append(ejected, t)
		case !t.checked && u.cfg.Health.Path != "":
			unchecked = append(unchecked, t)
		default:
			well = append(well, t)
		}
	}
	for _, list := range [][]*Target{well, unchecked, ejected} {
		if len(list) > 0 {
			well = list
			break
		}
	}
	v := newView(well)
	v.panic = len(ejected) > 0 && well[0] == ejected[0]
	v.why = u.reason(weighty)
	u.view.Store(v)
	if !u.current {
		return
	}
	switch {
	case len(v.targets) > 0 && !v.panic:
		u.set.health.Clear(upstreamDown, u.name)
	case u.processes == nil || weighty > 0: // a service that does not start has a condition of its own
		u.set.health.Raise(upstreamDown, u.name, "%s", v.why)
	}
}

// reason says why nobody is well.
func (u *Upstream) reason(weighty int) string {
	if weighty == 0 {
		switch {
		case u.processes != nil:
			return "no process of " + u.name + " is ready"
		case u.failure != "":
			return u.failure
		}
		return u.name + " has no targets"
	}
	for _, t := range u.targets {
		if t.weight > 0 && t.why != "" {
			if weighty > 1 {
				return fmt.Sprintf("none of %d targets of %s, of which %s: %s", weighty, u.name, t.name, t.why)
			}
			return fmt.Sprintf("%s of %s: %s", t.name, u.name, t.why)
		}
	}
	return ""
}

// adopt takes over what the former upstream of the name knew: addresses of hosts that were not found anew, and the health of targets with
// the same address. Both are locked one after the other.
func (u *Upstream) adopt(old *Upstream) {
	found, known, copies := map[string][]netip.Addr{}, map[string]*Target{}, map[string]health{}
	old.mu.Lock()
	for _, s := range old.sources {
		found[s.host] = s.found
	}
	for _, t := range old.targets {
		known[t.name], copies[t.name] = t, t.health
	}
	replicas := old.replicas
	old.mu.Unlock()

	u.mu.Lock()
	defer u.mu.Unlock()
	for _, s := range u.sources {
		if s.host != "" && s.found == nil {
			s.found = found[s.host]
		}
	}
	if u.cfg.Run != "" {
		u.replicas = replicas
	}
	u.arrange()
	for _, t := range u.targets {
		if from := known[t.name]; from != nil && from.dial == t.dial {
			t.inherit(from, copies[t.name])
		}
	}
	u.refresh()
}

func (t *Target) inherit(from *Target, h health) {
	u := t.upstream
	if u.cfg.Health.Path == "" {
		h.bad, h.checked = false, false
	}
	if u.cfg.Eject.Failures == 0 {
		h.ejected = false
	}
	if !h.bad && !h.ejected {
		h.why = ""
	}
	t.health = h
	t.fails.Store(from.fails.Load())
	t.slow.Store(from.slow.Load())
	if h.ejected {
		time.AfterFunc(time.Until(h.since.Add(h.lasts)), func() { u.readmit(t) })
	}
}
