package workers

import "github.com/headrace/headrace/internal/problem"

// Host hears what happens in a pool outside of tasks. Methods may be called from any goroutine, must not block and must not
// keep line.
type Host interface {
	Line(worker, stream string, line []byte)        // printed or logged outside of tasks; stream is stdout, stderr or a log level
	WorkerStarted(worker string, pid int)           // it is ready
	WorkerDied(worker string, pid int, death Death) // for whatever reason, planned ones included
	Health(unhealthy *problem.Error)                // HR6005 when the workers die as they start, nil when one is ready again
}
