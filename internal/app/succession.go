package app

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/app/handover"
)

const (
	readyTime   = time.Minute // for the next process to read its configuration
	servingTime = time.Minute // for it to take connections once it has the data folder
	lookEvery   = 200 * time.Millisecond
)

// replaced tells when this process is to be replaced by the program that is now at its place, by SIGUSR2.
func replaced() <-chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	return signals
}

// succeed starts the program again, with the listening sockets of this process, and waits until it has read its configuration. With an
// error this process goes on as before.
func (a *App) succeed(ctx context.Context) (*handover.Successor, error) {
	program, err := exec.LookPath(os.Args[0])
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, readyTime)
	defer cancel()
	return handover.Start(ctx, program, os.Args, os.Environ(), a.sockets)
}

// leave lets the next process open the data folder, which this one has closed, and waits for the requests that are under way here.
func (a *App) leave(drained <-chan struct{}) {
	err := a.successor.Release()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), servingTime)
		err = a.successor.Serving(ctx)
		cancel()
	}
	if err != nil {
		a.log.Error("the next process does not serve", "pid", a.successor.Pid, "error", err)
	} else {
		a.log.Info("the next process serves", "pid", a.successor.Pid)
	}
	<-drained
	deadline := time.After(a.config.Server.HandoverTimeout)
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	for a.gateway.Tunnels() > 0 {
		select {
		case <-look.C:
		case <-deadline:
			a.log.Warn("upgraded connections are cut", "count", a.gateway.Tunnels())
			return
		}
	}
}
