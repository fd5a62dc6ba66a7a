package main

import (
	"context"
	"fmt"
	"net/http"
	"syscall"
	"time"
)

// actions are the steps by name. Each ends with headrace ready, and tells what there is to tell.
var actions map[string]func(*suite, context.Context, step) (string, error)

func init() { // the actions refer to the plan, which refers to them
	actions = map[string]func(*suite, context.Context, step) (string, error){
		"kill-point": (*suite).killPoint, "stop-point": (*suite).stopPoint, "power-cut": (*suite).powerCut,
		"kill": (*suite).killNow, "kill-start": (*suite).killStart, "stop": (*suite).stopNow, "drain": (*suite).drain,
		"worker-kill": (*suite).workerKill, "worker-stop": (*suite).workerStop, "worker-pause": (*suite).workerPause,
		"zygote-kill": (*suite).zygoteKill, "worker-oom": (*suite).workerOOM,
		"disk-full": (*suite).diskFull, "disk-guard": (*suite).diskGuard,
	}
}

// arm makes sure that headrace was started with the fault of the step. A step that did not restart headrace comes before: drain it.
func (s *suite) arm(ctx context.Context, one step) error {
	if s.node.armed == one.fault() {
		return nil
	}
	return s.again(ctx, settings{fault: one.fault()})
}

// again stops headrace as an operator does and starts it.
func (s *suite) again(ctx context.Context, with settings) error {
	from := time.Now()
	s.node.signal(syscall.SIGTERM)
	if err := s.node.gone(ctx, 20*time.Second); err != nil {
		s.book.violation("start %d does not stop at SIGTERM: %v", s.node.starts, err)
		s.node.kill()
	} else if code := s.node.cmd.ProcessState.ExitCode(); code > 0 {
		s.book.violation("start %d ended with code %d at SIGTERM\n%s", s.node.starts, code, s.node.tail())
	}
	if _, err := s.died(ctx, from); err != nil {
		return err
	}
	return s.start(ctx, with, time.Time{})
}

func (s *suite) drain(ctx context.Context, _ step) (string, error) {
	return "", s.again(ctx, settings{fault: s.next()})
}

// fall waits until headrace was killed at the point of the step.
func (s *suite) fall(ctx context.Context, one step, limit time.Duration) (told string, dead time.Time, err error) {
	from := time.Now()
	if err := s.arm(ctx, one); err != nil {
		return "", dead, err
	}
	if s.node.gone(ctx, limit) == errLate {
		told = "point not reached, killed"
		s.book.count("points not reached", 1)
		s.node.kill()
	}
	dead, err = s.died(ctx, from)
	return told, dead, err
}

func (s *suite) killPoint(ctx context.Context, one step) (string, error) {
	limit := 20 * time.Second
	if one.point == "trim.purging" {
		if err := s.shorten(ctx, one); err != nil {
			return "", err
		}
		limit = 40 * time.Second
	}
	told, dead, err := s.fall(ctx, one, limit)
	if err == nil {
		err = s.start(ctx, settings{fault: s.next()}, dead)
	}
	s.brief.Store(false)
	return told, err
}

// shorten checks and closes all that has ended, and starts headrace with a retention so short that it soon trims the journal.
func (s *suite) shorten(ctx context.Context, one step) error {
	s.brief.Store(true) // before, so that every job is either among those that are checked now, or closed as it is seen to end
	if err := s.close(ctx); err != nil {
		return err
	}
	return s.restart(ctx, settings{fault: one.fault(), keep: "8s"})
}

func (s *suite) stopPoint(ctx context.Context, one step) (string, error) {
	if err := s.arm(ctx, one); err != nil {
		return "", err
	}
	if err := poll(ctx, 20*time.Second, 2*time.Millisecond, s.node.stopped); err != nil {
		s.book.count("points not reached", 1)
		return "point not reached", s.restart(ctx, settings{fault: s.next()})
	}
	if err := pause(ctx, one.hold); err != nil {
		return "", err
	}
	if one.dice%2 == 0 {
		s.node.signal(syscall.SIGCONT)
		s.node.armed = ""
		return "continued", nil
	}
	return "killed", s.restart(ctx, settings{fault: s.next()})
}

func (s *suite) powerCut(ctx context.Context, one step) (string, error) {
	told, _, err := s.fall(ctx, one, 20*time.Second)
	if err == nil && told == "" {
		told, err = cutPower(s.node.data, "HR_JOBS_main", one.cut, one.dice)
	}
	if err == nil {
		err = s.start(ctx, settings{fault: s.next()}, time.Time{})
	}
	return told, err
}

func (s *suite) killNow(ctx context.Context, _ step) (string, error) {
	return "", s.restart(ctx, settings{fault: s.next()})
}

// killStart kills headrace while it starts.
func (s *suite) killStart(ctx context.Context, one step) (string, error) {
	from := time.Now()
	s.node.kill()
	if _, err := s.died(ctx, from); err != nil {
		return "", err
	}
	if err := s.node.launch(settings{}); err != nil {
		return "", err
	}
	from, wait := time.Now(), one.hold/4
	if err := pause(ctx, wait); err != nil {
		return "", err
	}
	s.node.kill()
	dead, err := s.died(ctx, from)
	if err == nil {
		err = s.start(ctx, settings{fault: s.next()}, dead)
	}
	return fmt.Sprintf("again %dms after the start", wait.Milliseconds()), err
}

func (s *suite) stopNow(ctx context.Context, one step) (string, error) {
	s.node.signal(syscall.SIGSTOP)
	err := pause(ctx, one.hold)
	s.node.signal(syscall.SIGCONT)
	return "", err
}

// worker picks a worker, a busy one if there is one.
func (s *suite) worker(ctx context.Context, one step) (pid int, err error) {
	err = poll(ctx, 10*time.Second, 10*time.Millisecond, func() bool {
		_, workers, busy := s.pools(ctx)
		if len(busy) > 0 {
			workers = busy
		}
		if len(workers) > 0 {
			pid = workers[one.dice%len(workers)]
		}
		return pid != 0
	})
	if err != nil {
		err = fmt.Errorf("no worker: %w", err)
	}
	return pid, err
}

func (s *suite) end(pid int) {
	from := time.Now()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		s.book.count("workers gone before their kill", 1)
	}
	s.kills = append(s.kills, kill{from: from, to: time.Now(), pid: pid})
}

func (s *suite) workerKill(ctx context.Context, one step) (string, error) {
	pid, err := s.worker(ctx, one)
	if err == nil {
		s.end(pid)
	}
	return fmt.Sprintf("pid %d", pid), err
}

func (s *suite) workerStop(ctx context.Context, one step) (string, error) {
	pid, err := s.worker(ctx, one)
	if err != nil {
		return "", err
	}
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	if err := pause(ctx, one.hold); err != nil {
		return "", err
	}
	s.end(pid)
	return fmt.Sprintf("pid %d", pid), nil
}

// workerPause stops a worker and lets it go on: no harm, its jobs are late.
func (s *suite) workerPause(ctx context.Context, one step) (string, error) {
	pid, err := s.worker(ctx, one)
	if err != nil {
		return "", err
	}
	_ = syscall.Kill(pid, syscall.SIGSTOP)
	err = pause(ctx, one.hold)
	_ = syscall.Kill(pid, syscall.SIGCONT)
	return fmt.Sprintf("pid %d", pid), err
}

func (s *suite) zygoteKill(ctx context.Context, one step) (string, error) {
	zygote, _, _ := s.pools(ctx)
	if zygote == 0 {
		return "there is none", nil
	}
	from := time.Now()
	_ = syscall.Kill(zygote, syscall.SIGKILL)
	s.kills = append(s.kills, kill{from: from, to: from.Add(2 * time.Second)})
	err := poll(ctx, 20*time.Second, 20*time.Millisecond, func() bool {
		now, workers, _ := s.pools(ctx)
		return now != 0 && now != zygote && len(workers) > 0
	})
	if err == errLate {
		s.book.violation("no new zygote in twenty seconds")
		err = nil
	}
	return fmt.Sprintf("pid %d, a new one after %dms", zygote, time.Since(from).Milliseconds()), err
}

func (s *suite) workerOOM(ctx context.Context, _ step) (string, error) {
	s.load.greedy(ctx, fmt.Sprintf("greedy%d", s.at))
	return "", nil
}

// refused waits until new work is refused because the disk is nearly full, or taken again.
func (s *suite) refused(ctx context.Context, want int) error {
	probe := 0
	err := poll(ctx, 20*time.Second, 50*time.Millisecond, func() bool {
		e := &entry{ref: fmt.Sprintf("probe%d-%d", s.at, s.probes), kind: "noop", want: "succeeded"}
		s.probes++
		s.book.ask(e)
		status, body, err := s.node.do(ctx, http.MethodPost, "/v1/jobs/noop", e.ref, fmt.Sprintf(`{"ref":%q}`, e.ref))
		if err == nil && status == http.StatusAccepted {
			s.acked(e, body)
		}
		probe = status
		return probe == want
	})
	if err != nil {
		return fmt.Errorf("status %d, not %d: %w", probe, want, err)
	}
	return nil
}
