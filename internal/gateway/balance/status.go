package balance

import (
	"maps"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/gateway/service"
)

// Status is an upstream as the admin API shows it.
type Status struct {
	Name           string           `json:"name"`
	Balance        string           `json:"balance"`
	Protocol       string           `json:"protocol"`
	Breaker        string           `json:"breaker"`         // off, closed, open or half_open
	Panic          bool             `json:"panic,omitempty"` // targets that are left out take requests since there are no others
	Why            string           `json:"why,omitempty"`   // nobody is well
	Retries        uint64           `json:"retries"`
	RetriesRefused uint64           `json:"retries_refused"` // the budget was used up
	Targets        []TargetStatus   `json:"targets"`
	Processes      []service.Status `json:"processes,omitempty"`
}

// TargetStatus is a target as the admin API shows it.
type TargetStatus struct {
	Name     string    `json:"name"`
	URL      string    `json:"url"`
	Address  string    `json:"address"`
	Weight   int       `json:"weight"`
	State    State     `json:"state"`
	Why      string    `json:"why,omitempty"`
	Since    time.Time `json:"since,omitzero"`
	Busy     int64     `json:"busy"`     // requests under way
	Requests uint64    `json:"requests"` // that have ended
	Failures uint64    `json:"failures"`
	Open     int       `json:"connections_open"`
	Idle     int       `json:"connections_idle"`
}

// Status tells how the upstream is.
func (u *Upstream) Status() Status {
	v := u.view.Load()
	s := Status{
		Name: u.name, Balance: u.cfg.Balance, Protocol: u.cfg.Protocol, Breaker: "off", Panic: v.panic,
		Retries: u.record.retries.Load(), RetriesRefused: u.record.refused.Load(), Targets: []TargetStatus{},
	}
	if u.cfg.Breaker.Ratio > 0 {
		s.Breaker = breakerStates[u.breaker.state.Load()]
	}
	if len(v.targets) == 0 {
		s.Why = v.why
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, t := range u.targets {
		var sum totals
		sum.add(t.load)
		open, idle := t.connections()
		s.Targets = append(s.Targets, TargetStatus{
			Name: t.name, URL: t.url.String(), Address: t.dial, Weight: t.weight, State: t.state(), Why: t.why, Since: t.since,
			Busy: t.Busy(), Requests: sum.all(), Failures: sum.failures, Open: open, Idle: idle,
		})
	}
	if u.processes != nil && u.processes.service != nil {
		s.Processes = u.processes.service.Status()
	}
	return s
}

func (t *Target) connections() (open, idle int) {
	stats := t.client.Stats()
	return stats.Open + int(t.dialed.Load()), stats.Idle
}

// Status tells how all upstreams in force are, by name.
func (s *Set) Status() []Status {
	list := []Status{}
	for _, u := range s.all() {
		list = append(list, u.Status())
	}
	return list
}

func (s *Set) all() []*Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []*Upstream
	for _, name := range slices.Sorted(maps.Keys(s.upstreams)) {
		list = append(list, s.upstreams[name])
	}
	return list
}
