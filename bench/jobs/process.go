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

// process is a server, worker or client that the benchmark started, with everything it started in turn.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	dead chan struct{}
}

// spawn starts argv in dir with its output in a log beside it.
func spawn(name, dir string, env []string, argv ...string) (*process, error) {
	logs, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer logs.Close()
	p := &process{name: name, cmd: exec.Command(argv[0], argv[1:]...), log: logs.Name(), dead: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = dir, logs, logs
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

func (p *process) pid() int { return p.cmd.Process.Pid }

func (p *process) exited() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// stop asks the process to end, and after 10 seconds kills it and what it left.
func (p *process) stop() {
	all := tree(p.pid())
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.dead:
	case <-time.After(10 * time.Second):
	}
	for _, pid := range all {
		if pid != p.pid() || !p.exited() {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-p.dead
}

// tail is the end of what the process printed, for error messages.
func (p *process) tail() string {
	text, _ := os.ReadFile(p.log)
	return string(text[max(0, len(text)-2000):])
}

// listening waits until something accepts connections at addr.
func (p *process) listening(ctx context.Context, addr string) error {
	err := rig.Poll(ctx, 30*time.Second, 20*time.Millisecond, "listening at "+addr, func() (bool, error) {
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

// stat returns the fields of /proc/PID/stat after the name, which may itself hold spaces; nil if there is no such process.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 {
		return nil
	}
	return strings.Fields(string(text[end+1:]))
}

// tree lists root and all processes below it; a process that left its parent is not found.
func tree(root int) []int {
	parents := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if fields := stat(pid); len(fields) > 1 {
				parent, _ := strconv.Atoi(fields[1])
				parents[parent] = append(parents[parent], pid)
			}
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}

// cpu is the user and system time of the trees below roots, with the time of their children that ended and were waited for.
func cpu(roots []int) time.Duration {
	var ticks int
	for _, root := range roots {
		for _, pid := range tree(root) {
			if fields := stat(pid); len(fields) > 14 {
				for _, field := range fields[11:15] { // utime stime cutime cstime
					n, _ := strconv.Atoi(field)
					ticks += n
				}
			}
		}
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux that Go runs on
}

// memory is the proportional set size of the trees below roots in bytes: pages that processes share count once.
func memory(roots []int) (bytes int) {
	for _, root := range roots {
		for _, pid := range tree(root) {
			bytes += rig.Field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
		}
	}
	return bytes
}

// peak is the largest resident size of one process since resetPeak, in bytes.
func peak(pid int) int { return rig.Field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:") }

func resetPeak(pid int) error {
	return os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0)
}
