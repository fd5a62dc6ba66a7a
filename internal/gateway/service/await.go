package service

import (
	"context"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// Await waits until a process takes requests. The error is HR4025 if all of them fail, or none is ready within start_timeout, which is a condition
// until one is; or that of the context.
func (v *Service) Await(ctx context.Context) error {
	v.mu.Lock()
	limit := v.cfg.StartTimeout
	v.mu.Unlock()
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-v.first:
	case <-timer.C:
	case <-ctx.Done():
		return ctx.Err()
	case <-v.ctx.Done():
		return errStopped
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	why := "no process of " + v.name + " is ready after " + limit.String()
	for _, k := range v.slots {
		if k.current != nil {
			return nil
		}
		if k.trouble != "" {
			why = "no process of " + v.name + " is ready: " + k.trouble
		}
	}
	if len(v.sick) == 0 && v.ctx.Err() == nil {
		v.late = true
		v.supervisor.health.Raise(failing, v.name, "%s", why)
	}
	return problem.New("HR4025", "%s", why)
}

// serves is called when a process takes requests.
func (v *Service) serves() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.decided()
	if v.late && len(v.sick) == 0 {
		v.supervisor.health.Clear(failing, v.name)
	}
	v.late = false
}

// decided ends what Await waits for. It is called with the mutex held.
func (v *Service) decided() {
	if !v.begun {
		v.begun = true
		close(v.first)
	}
}
