package workers

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/workers/process"
)

// deathOf says why a worker is dead. A SIGKILL that nobody here sent is out_of_memory if the kernel counts a new victim.
func (p *Pool) deathOf(w *worker, exit process.Exit) Death {
	d := Death{Reason: w.reason, ExitCode: exit.Code, MaxRSS: max(exit.MaxRSS, w.rss), Last: w.last.all()}
	if exit.Signal != 0 {
		d.Signal = unix.SignalName(exit.Signal)
	}
	if far, ok := w.proc.(*distant); ok && d.Reason == "" {
		d.Reason = far.reason
	}
	if d.Reason != "" {
		return d
	}
	d.Reason = "exit"
	if exit.Signal != 0 || exit.Code < 0 {
		d.Reason = "signal"
	}
	if exit.Signal == syscall.SIGKILL {
		if kills := kernelKills(); kills > p.oomKills {
			p.oomKills = kills
			d.Reason = "out_of_memory"
		}
	}
	return d
}

// autopsy ends the tasks of a dead worker: the one that ran has crashed, or met the end of its ladder; those behind it were only
// interrupted. A batch that crashed is split instead, until the bad item is alone.
func (p *Pool) autopsy(w *worker, death Death, exit process.Exit, now time.Time) (ends []finished) {
	for _, r := range w.gather {
		r.stage = ended
		ends = append(ends, finished{r, Outcome{Ending: Interrupted, Worker: w.name}})
	}
	w.gather = nil
	var victim *Run // whose ladder killed the worker
	for _, r := range w.order {
		if r.stage != ended && r.running() && r.climbed > 3 {
			victim = r
		}
	}
	var crashed []*Run
	for _, r := range w.order {
		if r.stage == ended {
			continue
		}
		ending, g := w.verdict(r, victim, exit), r.parcel.batch
		w.forget(r)
		if g != nil && r.parcel.left == 0 {
			ends = append(ends, g.failed...)
		}
		if ending == Crashed && g != nil && len(g.runs) > 1 && !p.closing {
			crashed = append(crashed, r)
			continue
		}
		o := Outcome{Ending: ending, Worker: w.name}
		if r.running() {
			o.Run = now.Sub(r.since)
			if ending != Interrupted {
				o.Death = &death
			}
		}
		ends = append(ends, finished{r, o})
	}
	if len(crashed) > 0 {
		p.split(crashed[0].fn, crashed)
	}
	return ends
}

func (w *worker) verdict(r, victim *Run, exit process.Exit) Ending {
	switch {
	case r.reason != "":
		return endingOf(r.reason)
	case victim != nil && r.parcel == victim.parcel && r.parcel.batch != nil:
		return endingOf(victim.reason)
	case !r.running(), victim != nil, planned(w.reason), exit.Orphan:
		return Interrupted
	default:
		return Crashed
	}
}

// planned tells whether a worker that ends for this reason was meant to, so that a task it cut short did nothing wrong.
func planned(reason string) bool {
	switch reason {
	case "recycled", "reload", "drain", "idle":
		return true
	}
	return false
}
