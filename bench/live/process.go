package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/rig"
)

// process is a server or a swarm that the benchmark started.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	dead chan struct{}
}

// command prepares argv with its errors in a log in dir; a server's output goes there too.
func command(name, dir string, env []string, argv ...string) (*process, *os.File, error) {
	log := filepath.Join(dir, name+".log")
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, nil, err
	}
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), log: log, dead: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir, p.cmd.Stderr = dir, file
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C ends the benchmark, which then ends them in order
	return p, file, nil
}

// spawn starts a server.
func spawn(name, dir string, env []string, argv ...string) (*process, error) {
	p, log, err := command(name, dir, env, argv...)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	p.cmd.Stdout = log
	return p, p.start()
}

func (p *process) start() error {
	if err := p.cmd.Start(); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.dead)
	}()
	return nil
}

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) exited() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and kills it if it has not after 3 seconds: nothing of a benchmark has to be saved.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.dead:
	case <-time.After(3 * time.Second):
		p.kill()
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.dead
}

// tail is the end of what the process printed, for error messages.
func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-2000):])
}

// listening waits until something accepts connections at addr.
func (p *process) listening(ctx context.Context, addr string) error {
	err := rig.Poll(ctx, 30*time.Second, 5*time.Millisecond, "listening at "+addr, func() (bool, error) {
		if p.exited() {
			return false, fmt.Errorf("%s ended:\n%s", p.name, p.tail())
		}
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			return false, nil
		}
		return true, conn.Close()
	})
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}

// pass waits for d.
func pass(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// cpu is the user and system time of a process. Every server here is one process.
func cpu(pid int) time.Duration {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])) // the name before it may hold spaces
	var ticks int
	if len(fields) > 12 {
		for _, field := range fields[11:13] { // utime stime
			n, _ := strconv.Atoi(field)
			ticks += n
		}
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux that Go runs on
}

// files is how many files a process has open.
func files(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}
