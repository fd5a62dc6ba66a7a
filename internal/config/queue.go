package config

import "time"

// Queue holds the limits of one queue and the defaults of its jobs. What a function or a request says wins over the latter.
type Queue struct {
	// Jobs that may wait; more are answered with HR2006.
	MaxPending int `yaml:"max_pending" min:"1"`
	// Jobs that may run at a time on this node; 0 is no limit but the workers.
	Concurrency int `yaml:"concurrency" min:"0"`
	// Jobs that may start in a time, as in 100/s, 10/m or 5/10s; empty is no limit.
	Rate Rate `yaml:"rate"`
	// Runs after the first that a failing job gets.
	Retries int `yaml:"retries" min:"0" max:"1000"`
	// Wait before the first retry; each further one doubles it.
	Backoff time.Duration `yaml:"backoff"`
	// Longest wait before a retry.
	BackoffMax time.Duration `yaml:"backoff_max"`
	// Longest run of a job; 0s is no limit.
	Timeout time.Duration `yaml:"timeout"`
	// How long finished jobs can be looked up.
	Keep Keep `yaml:"keep"`
}

// Keep is the retention of finished jobs.
type Keep struct {
	// Jobs that succeeded.
	Succeeded Retention `yaml:"succeeded"`
	// Jobs that ended otherwise: dead, cancelled, expired.
	Dead Retention `yaml:"dead"`
}

// Retention removes what is older than Age, and the oldest over Count.
type Retention struct {
	// Oldest kept; 0s is no limit.
	Age time.Duration `yaml:"age"`
	// Most kept; 0 is no limit. Of more than 500, there may be an eighth more for a while.
	Count int `yaml:"count" min:"0"`
}

func (q *Queue) defaults() {
	*q = Queue{
		MaxPending: 1_000_000, Retries: 3, Backoff: time.Second, BackoffMax: 10 * time.Minute,
		Keep: Keep{
			Succeeded: Retention{Age: 24 * time.Hour, Count: 100_000},
			Dead:      Retention{Age: 7 * 24 * time.Hour, Count: 100_000},
		},
	}
}
