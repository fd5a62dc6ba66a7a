package workers

import (
	"maps"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// Status is a snapshot of a pool.
type Status struct {
	Name     string         `json:"name"`
	App      string         `json:"app"`
	Healthy  bool           `json:"healthy"`
	Problem  *problem.Error `json:"-"`                // HR6005 if it is not healthy
	Wanted   int            `json:"wanted"`           // workers to have, between min and max
	Starting int            `json:"starting"`         // on their way
	Waiting  int            `json:"waiting"`          // calls without a worker, and items being gathered
	Zygote   int            `json:"zygote,omitempty"` // pid, 0 if there is none
	Workers  []WorkerStatus `json:"workers"`
	Deaths   map[string]int `json:"deaths"` // by reason, since the pool was opened
}

// WorkerStatus is a snapshot of one worker.
type WorkerStatus struct {
	Name    string    `json:"name"`
	Pid     int       `json:"pid"`
	Remote  bool      `json:"remote,omitempty"`
	State   State     `json:"state"`
	Reason  string    `json:"reason,omitempty"` // why it is being ended
	Since   time.Time `json:"since"`            // in this state
	Started time.Time `json:"started"`
	Running int       `json:"running"` // tasks outstanding, staged ones included
	Tasks   int       `json:"tasks"`   // ended
	Credit  int       `json:"credit"`
	Memory  int64     `json:"memory"` // resident bytes at the last look
}

// Status returns a snapshot.
func (p *Pool) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := Status{Name: p.cfg.Name, App: p.cfg.App, Healthy: p.sick == nil, Problem: p.sick, Wanted: p.want, Starting: p.growing,
		Waiting: len(p.calls), Deaths: maps.Clone(p.deaths), Workers: make([]WorkerStatus, 0, len(p.workers))}
	for _, fn := range p.gen.functions {
		if fn.batch != nil {
			s.Waiting += len(fn.batch.runs)
		}
	}
	p.gen.mu.Lock()
	if p.gen.zygote != nil {
		s.Zygote = p.gen.zygote.Pid
	}
	p.gen.mu.Unlock()
	for _, w := range p.workers {
		s.Workers = append(s.Workers, WorkerStatus{Name: w.name, Pid: w.pid, Remote: w.remote, State: w.state, Reason: w.reason, Since: w.since,
			Started: w.started, Running: len(w.runs), Tasks: w.tasks, Credit: w.credit, Memory: w.rss})
	}
	return s
}
