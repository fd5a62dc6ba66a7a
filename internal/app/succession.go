package app

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/app/handover"
	"github.com/headrace/headrace/internal/app/notify"
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

const (
	readyTime   = time.Minute // for the next process to read its configuration
	servingTime = time.Minute // for it to take connections once it has the data folder, beside the time that apps have to import and services to start
	lookEvery   = 200 * time.Millisecond
)

var (
	notReplaced = &observe.Condition{Code: "handover-failed", Severity: observe.Warning, Title: "the program that was to replace this one failed; the former one serves, with the former configuration"}
	poolMissing = &observe.Condition{Code: "pool-missing", Severity: observe.Critical, Title: "a pool is not served since its app is broken"}
)

// replaced tells when this process is to be replaced by the program that is now at its place, by SIGUSR2.
func replaced() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	return signals
}

// proved keeps the texts of a configuration that is in force as a whole, for a process that goes on in the stead of this one.
func (a *App) proved(c *config.Config) {
	texts := c.Texts()
	a.texts.Store(&texts)
}

// succeed starts the program again, with the listening sockets of this process, and waits until it has read its configuration. With an
// error this process goes on as before.
func (a *App) succeed(ctx context.Context) (*handover.Successor, error) {
	program, err := exec.LookPath(os.Args[0])
	if err != nil {
		return nil, err
	}
	held, err := a.sockets.Hold()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	next, err := handover.Start(ctx, program, os.Args, os.Environ(), held)
	if err != nil {
		held.Close()
		return nil, err
	}
	a.held = held
	return next, nil
}

// leave lets the next process open the data folder, which this one has closed, and waits for the requests that are under way here. If the next
// one does not serve, the former program does so again; the error is HR5010 if that fails, too.
func (a *App) leave(asked context.Context, drained <-chan struct{}) error {
	next := a.successor
	err := a.serve(next)
	if err != nil {
		a.log.Error("the next process does not serve", "pid", next.Pid, "error", err)
		if asked.Err() != nil { // so was the next one, which is what it failed of
			a.held.Close()
			return nil
		}
		next, err = a.restore(asked, err)
	}
	a.held.Close()
	switch {
	case err != nil && asked.Err() != nil:
		return nil
	case err != nil:
		a.log.Error("the former program does not serve either", "error", err)
		return problem.New("HR5010", "neither the next program nor the former one serves: %w", err)
	}
	a.tell(notify.Main(next.Pid), notify.Ready)
	<-drained
	deadline := time.After(a.config.Server.HandoverTimeout)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for a.gateway.Tunnels() > 0 {
		select {
		case <-look.C:
		case <-deadline:
			a.log.Warn("upgraded connections are cut", "count", a.gateway.Tunnels())
			return nil
		}
	}
	return nil
}

// serve waits until the next process does.
func (a *App) serve(next *handover.Successor) error {
	ctx, cancel := context.WithTimeout(context.Background(), a.startTime())
	defer cancel()
	err := next.Serve(ctx)
	if err == nil {
		a.log.Info("the next process serves", "pid", next.Pid)
	}
	return err
}

// restore starts the program that this process runs, with the configuration that it has, and waits until it serves.
func (a *App) restore(asked context.Context, why error) (*handover.Successor, error) {
	ctx, cancel := context.WithTimeout(asked, readyTime+a.startTime())
	defer cancel()
	former, err := handover.Restore(ctx, os.Args, os.Environ(), a.held, &handover.Former{Why: why.Error(), Texts: *a.texts.Load()})
	if err == nil {
		a.log.Warn("the former program serves again, with the former configuration", "pid", former.Pid)
	}
	return former, err
}

// startTime is how long a process may take to serve: apps are imported one after the other, then services start at the same time.
func (a *App) startTime() time.Duration {
	limit := servingTime + serviceTime(a.config)
	for _, c := range a.config.Pools {
		limit += c.StartTimeout
	}
	return limit
}

// tell lets the service manager know.
func (a *App) tell(states ...string) {
	if err := notify.Send(states...); err != nil {
		a.log.Warn("the service manager is not told", "error", err)
	}
}
