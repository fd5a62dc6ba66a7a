package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// Process is a program that a benchmark started, with everything it started in turn.
type Process struct {
	Name string
	Log  string // file with what it printed

	cmd  *exec.Cmd
	dead chan struct{}
}

// Spawn starts argv in dir with its output in a log there.
func Spawn(name, dir string, env []string, argv ...string) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p := &Process{Name: name, Log: log.Name(), cmd: exec.Command(argv[0], argv[1:]...), dead: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, log, log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends the benchmark, which then ends them in order
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.dead)
	}()
	return p, nil
}

// PID is the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends it a signal.
func (p *Process) Signal(signal os.Signal) error { return p.cmd.Process.Signal(signal) }

// Exited is whether it has ended.
func (p *Process) Exited() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// Wait waits until it has ended, at most for limit.
func (p *Process) Wait(limit time.Duration) error {
	select {
	case <-p.dead:
		return nil
	case <-time.After(limit):
		return fmt.Errorf("%s has not ended after %v", p.Name, limit)
	}
}

// Stop asks it to end, and after grace kills it and what it left.
func (p *Process) Stop(grace time.Duration) {
	all := Tree(p.PID())
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	_ = p.Wait(grace)
	for _, pid := range all {
		if pid != p.PID() || !p.Exited() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-p.dead
}

// Tail is the end of what it printed, for error messages.
func (p *Process) Tail() string {
	text, _ := os.ReadFile(p.Log)
	return string(text[max(0, len(text)-2000):])
}

// Listening waits until something accepts connections at addr.
func (p *Process) Listening(ctx context.Context, addr string) error {
	err := Poll(ctx, 30*time.Second, 5*time.Millisecond, "listening at "+addr, func() (bool, error) {
		if p.Exited() {
			return false, fmt.Errorf("it ended:\n%s", p.Tail())
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}
