package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// node is headrace as a process, started again and again on the same data.
type node struct {
	binary, dir   string
	data          string // data folder
	public, admin string // addresses
	ledger        string
	starts        int
	armed         string // fault that the process was started with
	cmd           *exec.Cmd
	exited        chan struct{} // closed when cmd has ended
	client        *http.Client
}

// settings are what differs between two starts.
type settings struct {
	fault   string // HEADRACE_FAULT
	keep    string // age up to which ended jobs are kept
	minFree string
}

const config = `
app: app.py
engine: {data: %s, min_free: %s}
server: {listen: %s}
admin: {listen: %s}
log: {level: info}
pools:
  default: {min: 3, max: 4, grace: 2s, max_memory: 160MiB}
queues:
  defaults:
    keep: {succeeded: {age: %s, count: 10000000}, dead: {age: %s, count: 10000000}}
`

func newNode(dir, binary string) (*node, error) {
	n := &node{binary: binary, dir: dir, data: filepath.Join(dir, "data"), ledger: filepath.Join(dir, "ran.log")}
	n.client = &http.Client{Timeout: 4 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for _, to := range []*string{&n.public, &n.admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		*to = l.Addr().String()
	}
	return n, os.WriteFile(filepath.Join(dir, "app.py"), app, 0o600)
}

// launch starts the process and does not wait for it.
func (n *node) launch(s settings) error {
	if s.keep == "" {
		s.keep = "24h"
	}
	if s.minFree == "" {
		s.minFree = "1MiB"
	}
	file := filepath.Join(n.dir, "headrace.yaml")
	text := fmt.Sprintf(config, n.data, s.minFree, n.public, n.admin, s.keep, s.keep)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	n.starts, n.armed = n.starts+1, s.fault
	log, err := os.Create(n.log())
	if err != nil {
		return err
	}
	defer log.Close()
	n.cmd = exec.Command(n.binary, "run", "--config", file)
	n.cmd.Stdout, n.cmd.Stderr = log, log
	n.cmd.Env = append(os.Environ(), "HEADRACE_FAULT="+s.fault, "CRASH_LEDGER="+n.ledger)
	if err := n.cmd.Start(); err != nil {
		return err
	}
	exited, cmd := make(chan struct{}), n.cmd
	n.exited = exited
	go func() {
		_ = cmd.Wait() // how it ended is seen in cmd.ProcessState
		close(exited)
	}()
	return nil
}

func (n *node) log() string { return filepath.Join(n.dir, fmt.Sprintf("headrace-%03d.log", n.starts)) }

// ready waits until the node serves, or has stopped itself at the point of its fault. It tells with false that the process ended before.
func (n *node) ready(ctx context.Context) (bool, error) {
	ended := false
	err := poll(ctx, time.Minute, 2*time.Millisecond, func() bool {
		if ended = n.ended(); ended || n.stopped() {
			return true
		}
		answer, err := n.client.Get("http://" + n.admin + "/readyz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	if err != nil {
		return false, fmt.Errorf("start %d is not ready: %w\n%s", n.starts, err, n.tail())
	}
	return !ended, nil
}

func (n *node) ended() bool {
	select {
	case <-n.exited:
		return true
	default:
		return false
	}
}

// gone waits for the end of the process.
func (n *node) gone(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	select {
	case <-n.exited:
		return nil
	case <-ctx.Done():
		return errLate
	}
}

func (n *node) signal(s syscall.Signal) { _ = n.cmd.Process.Signal(s) } // it may have ended already

// kill ends the process at once.
func (n *node) kill() {
	n.signal(syscall.SIGKILL)
	<-n.exited
}

// stopped tells whether the process is stopped by a signal.
func (n *node) stopped() bool { return processState(n.cmd.Process.Pid) == "T" }

func processState(pid int) string {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return ""
	}
	after := stat[bytes.LastIndexByte(stat, ')')+1:]
	return strings.Fields(string(after))[0]
}

// orphans are the processes that a dead headrace has left behind: they have its ledger in their environment.
func (n *node) orphans() (pids []int) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		env, err := os.ReadFile(filepath.Join("/proc", e.Name(), "environ"))
		if err == nil && bytes.Contains(env, []byte("CRASH_LEDGER="+n.ledger+"\x00")) && processState(pid) != "Z" {
			pids = append(pids, pid)
		}
	}
	return pids
}

// tail is the end of the log, for a person.
func (n *node) tail() string {
	log, err := os.ReadFile(n.log())
	if err != nil {
		return err.Error()
	}
	return string(log[max(0, len(log)-3000):])
}
