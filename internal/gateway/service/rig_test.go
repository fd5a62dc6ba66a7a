package service

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/observe"
)

const patience = 30 * time.Second

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("never: ", what)
		case <-tick.C:
		}
	}
}

// journal is a log that can be read.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) has(parts ...string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	for line := range strings.Lines(j.text.String()) {
		all := true
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}

// rig is a supervisor with one service, whose processes are known as the balancer knows them.
type rig struct {
	*Supervisor
	journal *journal
	health  *observe.Health
	service *Service

	mu   sync.Mutex
	list []*Replica
}

func newRig(t *testing.T) *rig {
	r := &rig{journal: &journal{}}
	log := slog.New(slog.NewTextHandler(r.journal, nil))
	r.health = observe.NewHealth(log)
	var err error
	if r.Supervisor, err = New(Options{Log: log, Health: r.health, Dir: "testdata"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		r.Stop(ctx)
		if t.Failed() {
			t.Log(r.journal.text.String())
		}
	})
	return r
}

func (r *rig) open(t *testing.T, c *config.Upstream) {
	t.Helper()
	if err := r.Check("api", c); err != nil {
		t.Fatal(err)
	}
	r.service = r.Open("api", c, func(list []*Replica) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.list = list
	})
}

func (r *rig) replicas() []*Replica {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.list
}

// ready waits for processes, and returns them.
func (r *rig) ready(t *testing.T, n int) []*Replica {
	t.Helper()
	until(t, fmt.Sprintf("%d processes", n), func() bool { return len(r.replicas()) == n })
	return r.replicas()
}

func (r *rig) raised(code string) string {
	for _, c := range r.health.Report().Conditions {
		if c.Code == code {
			return c.Text
		}
	}
	return ""
}

// command is an upstream of a command.
func command(run string, change ...func(*config.Upstream)) *config.Upstream {
	c := config.DefaultUpstream()
	c.Run, c.Grace = run, 2*time.Second
	for _, f := range change {
		f(c)
	}
	return c
}

// python is the interpreter itself rather than a script that looks for it.
var python = sync.OnceValue(func() string {
	out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output()
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(out))
})

func get(r *Replica, path string) (string, error) {
	c := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, r.Network, r.Address)
	}}}
	resp, err := c.Get("http://localhost" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// alive tells whether a process runs.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !bytes.Contains(stat, []byte(") Z "))
}

// script is an executable shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return file
}

func touch(t *testing.T, file string) {
	t.Helper()
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, file string) {
	t.Helper()
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
}
