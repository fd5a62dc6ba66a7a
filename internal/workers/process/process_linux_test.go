package process

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 30 * time.Second

type heard struct {
	mu    sync.Mutex
	lines []string
}

func (h *heard) line(stream string, line []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, stream+" "+string(line))
}

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(2 * time.Millisecond); !ok(); {
		select {
		case <-deadline:
			t.Fatal("never: ", what)
		case <-tick.C:
		}
	}
}

func TestLines(t *testing.T) {
	var h heard
	p, theirs, err := newPipe("stdout", h.line)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { p.follow(); close(done) }()
	long := strings.Repeat("x", MaxLine)
	for _, text := range []string{"one\ntwo\r\nthr", "ee\n\n", long[:MaxLine-1] + "\n", long + "cut\n", long + long + "cut\nrest"} {
		if _, err := theirs.WriteString(text); err != nil {
			t.Fatal(err)
		}
	}
	_ = theirs.Close()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("the pipe does not end")
	}
	want := []string{"one", "two", "three", "", long[:MaxLine-1], long, long, "rest"}
	if len(h.lines) != len(want) {
		t.Fatalf("%d lines", len(h.lines))
	}
	for i, w := range want {
		if h.lines[i] != "stdout "+w {
			t.Errorf("line %d has %d bytes instead of %d", i, len(h.lines[i])-7, len(w))
		}
	}
	p.close()
}

func FuzzLines(f *testing.F) {
	f.Add([]byte("one\ntwo"), 3)
	f.Add(bytes.Repeat([]byte("x"), 3*MaxLine), 1000)
	f.Fuzz(func(t *testing.T, text []byte, piece int) {
		var got []byte
		p := &pipe{buf: make([]byte, MaxLine), lines: func(_ string, line []byte) {
			if len(line) > MaxLine || bytes.IndexByte(line, '\n') >= 0 {
				t.Fatalf("line of %d bytes", len(line))
			}
			got = append(append(got, line...), '\n')
		}}
		for rest := text; len(rest) > 0; {
			n := copy(p.buf[p.held:], rest[:min(len(rest), max(1, piece))])
			p.take(n)
			rest = rest[n:]
		}
		p.flush()
		if len(got) > len(text)+1 {
			t.Fatalf("%d bytes became %d", len(text), len(got))
		}
	})
}

// script makes an interpreter that runs a shell script instead of Python.
func script(t *testing.T, text string) Spec {
	t.Helper()
	file := filepath.Join(t.TempDir(), "python")
	if err := os.WriteFile(file, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return Spec{Python: file, App: "app.py", Dir: t.TempDir()}
}

func TestGrandchildrenEndWithTheWorker(t *testing.T) {
	s := NewStarter()
	defer s.Close()
	var h heard
	p, err := s.Spawn(script(t, "sleep 600 & echo $!; exec sleep 600"), "w", false, h.line)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	until(t, "the pid of the grandchild", func() bool { h.mu.Lock(); defer h.mu.Unlock(); return len(h.lines) == 1 })
	grandchild, err := strconv.Atoi(strings.TrimPrefix(h.lines[0], "stdout "))
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(p.Pid, syscall.SIGTERM); err != nil { // the worker alone, from outside
		t.Fatal(err)
	}
	<-p.Exited()
	if e := p.Exit(); e.Signal != syscall.SIGTERM || e.Code != -1 {
		t.Errorf("%+v", e)
	}
	until(t, "the end of the grandchild", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", grandchild))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
	if err := p.Signal(syscall.SIGKILL); err != os.ErrProcessDone {
		t.Errorf("signal after the end: %v", err)
	}
}

// TestWorkersEndWithHeadrace kills a process of this test binary that has started a worker.
func TestWorkersEndWithHeadrace(t *testing.T) {
	if dir := os.Getenv("START_AND_WAIT"); dir != "" {
		p, err := NewStarter().Spawn(script(t, "exec sleep 600"), "w", false, func(string, []byte) {})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "pid.new"), []byte(strconv.Itoa(p.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "pid.new"), filepath.Join(dir, "pid")); err != nil {
			t.Fatal(err)
		}
		<-p.Exited()
		return
	}
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "-test.run=TestWorkersEndWithHeadrace")
	parent.Env = append(os.Environ(), "START_AND_WAIT="+dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	until(t, "a worker", func() bool {
		data, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid, _ = strconv.Atoi(string(data))
		return err == nil && pid > 0
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	until(t, "the end of the worker", func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || bytes.Contains(stat, []byte(") Z "))
	})
}
