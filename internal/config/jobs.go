package config

import "time"

// Jobs holds the limits of jobs in general.
type Jobs struct {
	// Memory for the arguments of waiting jobs; what is over it is read again from the engine.
	Memory Size `yaml:"memory" min:"1MiB"`
	// Most jobs in one request.
	MaxJobsPerRequest int `yaml:"max_jobs_per_request" min:"1"`
	// Largest argument document and largest result inside the journal: larger arguments are answered with HR1003, a larger result becomes a blob underneath.
	Inline Size `yaml:"inline" min:"1KiB" max:"512KiB"`
	// How long an idempotency key is remembered.
	Idempotency time.Duration `yaml:"idempotency" min:"1s"`
	// Workers that a job may kill before it is dead.
	CrashLimit int `yaml:"crash_limit" min:"1"`
	// Log lines kept for one job; what comes after them is dropped, and one line says so.
	LogLines int `yaml:"log_lines" min:"0"`
	// Log bytes kept for one job, likewise.
	LogBytes Size `yaml:"log_bytes"`
}
