package workers

import (
	"encoding/json"
	"sync"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/workers/frame"
)

// Run is one task that a pool has accepted.
type Run struct {
	pool *Pool
	task *Task
	fn   *function

	// Guarded by the pool's lock.
	stage   stage
	worker  *worker
	number  uint64      // in the worker's connection
	parcel  *parcel     // the frame it went out in
	since   time.Time   // when it began to run, as far as headrace can tell
	reason  string      // why it is being ended, empty if it is not
	clock   *time.Timer // its timeout, its patience, or the next step of its ladder
	climbed int         // steps of the ladder taken

	sink  sync.Mutex // held during calls of the task's Sink
	begun bool       // Started was called; guarded by sink
	over  bool       // Done was called; guarded by sink
}

type stage uint8

const (
	waiting  stage = iota // in the list of calls, or gathered for a batch
	gathered              // given to a worker, not flushed
	sent                  // on its way or running
	ended
)

// parcel is one frame of tasks.
type parcel struct {
	runs  []*Run
	left  int
	batch *group // set for a batch frame
}

// Task is what was offered.
func (r *Run) Task() *Task { return r.task }

// tell calls the sink unless the task is done.
func (r *Run) tell(call func(Sink)) {
	r.sink.Lock()
	defer r.sink.Unlock()
	if !r.over {
		call(r.task.Sink)
	}
}

func (r *Run) started(worker string, pid int) {
	r.sink.Lock()
	defer r.sink.Unlock()
	if !r.over && !r.begun {
		r.begun = true
		r.task.Sink.Started(worker, pid)
	}
}

// done ends the task; only the first call counts.
func (r *Run) done(outcome Outcome) {
	r.sink.Lock()
	defer r.sink.Unlock()
	if !r.over {
		r.over = true
		r.task.Sink.Done(outcome)
	}
}

// endingOf maps the reason of a cancel to the ending it leads to.
func endingOf(reason string) Ending {
	switch reason {
	case "timeout":
		return TimedOut
	case "drain":
		return Interrupted
	default:
		return Cancelled
	}
}

// Cancel ends the task: at once if no worker has it, otherwise by the ladder: the flag, the exception after a quarter of the
// cancel grace, SIGINT after half of it, SIGKILL after all of it. reason is cancelled, timeout, drain or gone. The sink's
// Done follows from another goroutine. A second Cancel changes nothing.
func (r *Run) Cancel(reason string) {
	r.pool.mu.Lock()
	defer r.pool.mu.Unlock()
	r.cancel(reason)
}

func (r *Run) cancel(reason string) {
	if r.stage == ended || r.reason != "" {
		return
	}
	r.reason = reason
	r.stopClock()
	if r.stage == sent {
		r.climb()
		return
	}
	r.pool.withdraw(r)
	go r.done(Outcome{Ending: endingOf(reason), Error: &TaskError{Kind: "cancelled", Type: "Cancelled", Message: "ended before it began: " + reason}})
}

func (r *Run) stopClock() {
	if r.clock != nil {
		r.clock.Stop()
		r.clock = nil
	}
}

// begin notes that the task runs from now on and starts its timeout.
func (r *Run) begin(now time.Time) {
	r.since = now
	if r.task.Timeout > 0 && r.reason == "" {
		r.clock = time.AfterFunc(r.task.Timeout, func() { r.Cancel("timeout") })
	}
}

// running tells whether the worker is at this task now, as far as headrace can tell.
func (r *Run) running() bool { return !r.since.IsZero() }

// climb takes the next step of the ladder and sets the clock for the one after. The pool's lock is held.
func (r *Run) climb() {
	if r.stage == ended {
		return
	}
	w, grace := r.worker, r.pool.cfg.CancelGrace
	alone := !r.fn.Async || len(w.runs) == 1
	next := grace / 4
	switch r.climbed++; r.climbed {
	case 1, 2:
		body, _ := json.Marshal(struct {
			Reason string `json:"reason"`
			Step   int    `json:"step"`
		}{r.reason, r.climbed})
		w.send(frame.Append(nil, frame.Cancel, r.number, body), syscall.SIGUSR1)
	case 3:
		next = grace / 2
		if r.running() && alone {
			w.signal(syscall.SIGINT)
		}
	default:
		r.lastStep()
		return
	}
	r.clock = time.AfterFunc(next, func() {
		r.pool.mu.Lock()
		defer r.pool.mu.Unlock()
		r.climb()
	})
}

// lastStep kills the worker if it is at this task. A task that has not begun, or one item of a batch, is given up instead:
// the others there did nothing wrong.
func (r *Run) lastStep() {
	if r.running() && (r.parcel.batch == nil || r.parcel.left == 1 || r.reason == "timeout") {
		r.worker.kill(deathOf(r.reason))
		return
	}
	r.worker.forget(r)
	go r.done(Outcome{Ending: endingOf(r.reason), Worker: r.worker.name})
}

// deathOf names the death of a worker that is killed to end a task.
func deathOf(reason string) string {
	if reason == "gone" {
		return "cancelled"
	}
	return reason
}
