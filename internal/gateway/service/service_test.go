package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

func code(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code
	}
	return fmt.Sprint(err)
}

func TestPythonOnASocket(t *testing.T) {
	r := newRig(t)
	r.open(t, command(python()+" serve.py {socket}", func(c *config.Upstream) { c.Replicas = 2; c.Env = map[string]string{"COLOR": "blue sky"} }))
	for i, p := range r.ready(t, 2) {
		body, err := get(p, "/")
		if err != nil || body != fmt.Sprintf("blue sky %d", p.Pid) || p.Number != i+1 || p.Network != "unix" {
			t.Errorf("%q %v %+v", body, err, p)
		}
		if info, err := os.Stat(filepath.Dir(p.Address)); err != nil || info.Mode().Perm() != 0o700 || len(p.Address) > longestSocket {
			t.Errorf("%v %v %s", info, err, p.Address)
		}
	}
	until(t, "its output", func() bool {
		return r.journal.has("listening on a socket", "/testdata", "service=api", "replica=2", "stream=stdout")
	})
	list := r.ready(t, 2)
	_ = r.service.Close()
	for _, p := range list {
		until(t, "its end", func() bool { return !alive(p.Pid) })
		until(t, "the socket is gone", func() bool { _, err := os.Stat(p.Address); return errors.Is(err, os.ErrNotExist) })
	}
	r.ready(t, 0)
}

func TestNodeOnAPort(t *testing.T) {
	r := newRig(t)
	r.open(t, command("node serve.js", func(c *config.Upstream) {
		c.Health.Path = "/"
		c.Env = map[string]string{"COLOR": "{port}", "PORT_AGAIN": "{port}"}
	}))
	p := r.ready(t, 1)[0]
	_, port, _ := strings.Cut(p.Address, ":")
	if body, err := get(p, "/"); err != nil || body != fmt.Sprintf("%s %d", port, p.Pid) {
		t.Error(body, err)
	}
	if s := r.service.Status(); s[0].State != "ready" || s[0].Pid != p.Pid || s[0].Address != p.Address {
		t.Errorf("%+v", s)
	}
}

func TestCheck(t *testing.T) {
	r := newRig(t)
	for run, c := range map[string]struct {
		change func(*config.Upstream)
		where  string
	}{
		"node 'x":              {nil, "run"},
		"":                     {nil, "run"},
		"no-such-program-here": {nil, "run"},
		"./serve.py {socket}":  {nil, "run"}, // it may not be executed
		"node serve.js":        {func(c *config.Upstream) { c.Directory = "/nowhere" }, "directory"},
	} {
		u := command(run)
		if c.change != nil {
			c.change(u)
		}
		err := r.Check("api", u)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != "HR4023" || p.Where != "upstreams.api."+c.where {
			t.Errorf("%q: %v", run, err)
		}
	}
	if err := r.Check("api", command(script(t, "exit 0"))); err != nil {
		t.Error(err)
	}
	if err := r.Replace(t.Context(), "nobody"); code(err) != "HR4024" {
		t.Error(err)
	}
}

// TestReadyWhenHealthy has a service that takes connections before it can answer.
func TestReadyWhenHealthy(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	program := `const s = require("http").createServer((q, a) => { a.statusCode = q.url == "/health" && ++n > 3 ? 200 : 503; a.end() }); let n = 0; s.listen(process.env.PORT)`
	r.open(t, command("node -e '"+program+"'", func(c *config.Upstream) { c.Health.Path = "/health" }))
	r.ready(t, 1)
	r2 := newRig(t)
	r2.open(t, command("node -e '"+program+"'", func(c *config.Upstream) { c.Health.Path = "/other"; c.StartTimeout = 5 * time.Second }))
	until(t, "it is given up", func() bool {
		return strings.Contains(r2.service.Status()[0].Trouble, "is not ready after 5s: /other answers with status 503")
	})
	if len(r2.replicas()) > 0 {
		t.Error("it takes requests")
	}
}

// TestFailing has a service that ends as it starts, until its folder has a file.
func TestFailing(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.stable = 50 * time.Millisecond
	dir := t.TempDir()
	c := command(script(t, `[ -e repaired ] || { echo "where is it?" >&2; exit 7; }; exec `+python()+` "$OLD/serve.py" "$HEADRACE_SOCKET"`), func(c *config.Upstream) {
		old, _ := filepath.Abs("testdata")
		c.Directory, c.Env = dir, map[string]string{"OLD": old, "SOCKET": "{socket}"}
	})
	r.open(t, c)
	until(t, "the condition", func() bool { return r.raised("service-failing") != "" })
	if text := r.raised("service-failing"); !strings.Contains(text, "replica 1 failed 5 times in a row") || !strings.Contains(text, "exit status 7") || !strings.Contains(text, "where is it?") {
		t.Error(text)
	}
	if err := os.WriteFile(filepath.Join(dir, "repaired"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p := r.ready(t, 1)[0]
	until(t, "the condition ends", func() bool { return r.raised("service-failing") == "" })
	if s := r.service.Status()[0]; s.Restarts < manyFailures {
		t.Errorf("%+v", s)
	}
	// A process that ran for long is started again soon.
	if err := syscall.Kill(p.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "another one", func() bool { l := r.replicas(); return len(l) == 1 && l[0] != p })
	if s := r.service.Status()[0]; !strings.Contains(s.Trouble, "signal: killed") {
		t.Error(s.Trouble)
	}
}

// TestAnotherCommand has a service that would take a minute to be given up.
func TestAnotherCommand(t *testing.T) {
	r := newRig(t)
	r.open(t, command("sleep 600", func(c *config.Upstream) { c.StartTimeout = time.Hour }))
	until(t, "it starts", func() bool { return len(r.service.Status()) == 1 })
	r.service.Change(command(python() + " serve.py {socket}"))
	if _, err := get(r.ready(t, 1)[0], "/"); err != nil {
		t.Error(err)
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int]time.Duration{1: 100 * time.Millisecond, 3: 400 * time.Millisecond, 9: 25600 * time.Millisecond, 10: longestBackoff, 1000: longestBackoff} {
		if got := backoff(failures); got != want {
			t.Errorf("%s after %d failures", got, failures)
		}
		if got := jitter(want); got < want*3/4 || got > want*5/4+1 {
			t.Errorf("%s becomes %s", want, got)
		}
	}
}

func TestReplicasChange(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := python() + " serve.py {socket}"
	of := func(n int) *config.Upstream { return command(run, func(c *config.Upstream) { c.Replicas = n }) }
	r.open(t, of(1))
	first := r.ready(t, 1)[0]
	r.service.Change(of(3))
	list := r.ready(t, 3)
	r.service.Change(of(1))
	if r.ready(t, 1)[0] != first || list[0] != first {
		t.Error("the first one was replaced")
	}
	for _, p := range list[1:] {
		until(t, "its end", func() bool { return !alive(p.Pid) })
	}
}

// TestReplace has requests under way on the old process.
func TestReplace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	run := python() + " serve.py {socket}"
	r.open(t, command(run, func(c *config.Upstream) { c.Replicas = 2 }))
	old := r.ready(t, 2)
	old[0].Busy.Add(1)
	if err := r.Replace(t.Context(), "api"); err != nil {
		t.Fatal(err)
	}
	now := r.ready(t, 2)
	for i := range now {
		if now[i].Pid == old[i].Pid || now[i].Number != i+1 {
			t.Error("not replaced")
		}
	}
	<-old[1].exited
	if !alive(old[0].Pid) {
		t.Error("ended with a request under way")
	}
	old[0].Busy.Add(-1)
	<-old[0].exited

	// A command that does not work leaves the old processes, until there is one that does.
	r.service.Change(command("false", func(c *config.Upstream) { c.Replicas = 2 }))
	until(t, "the condition", func() bool {
		return strings.Contains(r.raised("service-not-replaced"), "replica 1 of api ended before it was ready")
	})
	r.service.Change(command("false", func(c *config.Upstream) { c.Replicas, c.Grace = 2, time.Second })) // the same command, which is tried on
	if list := r.replicas(); len(list) != 2 || list[0] != now[0] {
		t.Error("the old processes are gone")
	}
	if err := r.Replace(t.Context(), "api"); code(err) != "HR4025" {
		t.Error(err)
	}
	r.service.Change(command(script(t, "echo oh no >&2; exit 3"), func(c *config.Upstream) { c.Replicas = 2 }))
	if p := problem.From(r.Replace(t.Context(), "api")); p.Where != "" || p.What != "replica 1 of api ended before it was ready: exit status 3; it printed:\noh no" {
		t.Errorf("%q %q", p.What, p.Where)
	}
	r.service.Change(command(run, func(c *config.Upstream) { c.Replicas = 2; c.Env = map[string]string{"COLOR": "green"} }))
	until(t, "new processes", func() bool { l := r.replicas(); return len(l) == 2 && l[0] != now[0] && l[1] != now[1] })
	if body, err := get(r.replicas()[1], "/"); err != nil || !strings.HasPrefix(body, "green ") {
		t.Error(body, err)
	}
	until(t, "the condition ends", func() bool { return r.raised("service-not-replaced") == "" })

	// One that was asked for and failed has a condition too, until another succeeds.
	file := t.TempDir() + "/broken"
	run = script(t, `[ -e `+file+` ] && exit 7; exec `+python()+` serve.py "$HEADRACE_SOCKET"`)
	r.service.Change(command(run, func(c *config.Upstream) { c.Replicas = 2; c.Env = map[string]string{"X": "{socket}"} }))
	touch(t, file)
	if err := r.Replace(t.Context(), "api"); code(err) != "HR4025" || !strings.Contains(r.raised("service-not-replaced"), "exit status 7") {
		t.Error(err, r.raised("service-not-replaced"))
	}
	remove(t, file)
	if err := r.Replace(t.Context(), "api"); err != nil || r.raised("service-not-replaced") != "" {
		t.Error(err, r.raised("service-not-replaced"))
	}
}

// TestGrace has a process that does not want to end, with a child in its group.
func TestGrace(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := filepath.Join(t.TempDir(), "pid")
	r.open(t, command(script(t, `trap "" TERM; sleep 600 & echo $! > `+file+`; `+python()+` serve.py "$HEADRACE_SOCKET"; while :; do sleep 600; done`), func(c *config.Upstream) {
		c.Grace, c.Env = 300*time.Millisecond, map[string]string{"X": "{socket}"}
	}))
	p := r.ready(t, 1)[0]
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	child, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	p.Busy.Add(1) // a request that does not end
	begun := time.Now()
	_ = r.service.Close()
	<-p.exited
	if took := time.Since(begun); took < 600*time.Millisecond || took > 5*time.Second {
		t.Errorf("it took %s", took)
	}
	until(t, "the end of its child", func() bool { return !alive(child) })
	if !r.journal.has("process does not end and is killed") {
		t.Error("nothing in the log")
	}
}

func TestStopIsBounded(t *testing.T) {
	r := newRig(t)
	r.open(t, command(python()+" serve.py {socket}", func(c *config.Upstream) { c.Grace = time.Hour }))
	p := r.ready(t, 1)[0]
	p.Busy.Add(1)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	r.Stop(ctx)
	if alive(p.Pid) {
		t.Error("it runs")
	}
	if _, err := os.Stat(filepath.Dir(p.Address)); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder is there")
	}
	r.Stop(ctx)
}

func TestFolder(t *testing.T) {
	dir := filepath.Join("/tmp", fmt.Sprintf("headrace-test-%d", os.Getpid()))
	defer os.RemoveAll(dir)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "7.sock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := newPlaces(dir)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	left, _ := filepath.Glob(dir + "/*")
	if err != nil || info.Mode().Perm() != 0o700 || len(left) > 0 || filepath.Dir(p.socket().address) != dir {
		t.Error(info, err, left)
	}
	long, err := newPlaces(filepath.Join(t.TempDir(), strings.Repeat("x", 100)))
	if err != nil || len(long.socket().address) > longestSocket || !long.temporary {
		t.Error(err)
	}
	long.close()
}

// TestProcessesEndWithHeadrace kills a process of this test binary that runs a service.
func TestProcessesEndWithHeadrace(t *testing.T) {
	if dir := os.Getenv("RUN_A_SERVICE"); dir != "" {
		r := newRig(t)
		r.open(t, command(python()+" serve.py {socket}"))
		p := r.ready(t, 1)[0]
		if err := os.WriteFile(filepath.Join(dir, "new"), []byte(strconv.Itoa(p.Pid)), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "pid")); err != nil {
			t.Fatal(err)
		}
		<-p.exited
		return
	}
	dir := t.TempDir()
	parent := exec.Command(os.Args[0], "-test.run=TestProcessesEndWithHeadrace")
	parent.Env = append(os.Environ(), "RUN_A_SERVICE="+dir, "TMPDIR="+dir)
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	until(t, "a process", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, "pid"))
		pid, _ = strconv.Atoi(string(text))
		return err == nil && pid > 0
	})
	if err := parent.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = parent.Wait()
	until(t, "the end of the process", func() bool { return !alive(pid) })
}

// TestAwait has services that become ready, that fail, and that are late until a file is there.
func TestAwait(t *testing.T) {
	t.Parallel()
	t.Run("ready", func(t *testing.T) {
		r := newRig(t)
		r.open(t, command(python()+" serve.py {socket}"))
		if err := r.service.Await(t.Context()); err != nil || len(r.replicas()) != 1 {
			t.Error(err, len(r.replicas()))
		}
	})
	t.Run("failing", func(t *testing.T) {
		r := newRig(t)
		r.open(t, command(script(t, "echo oh no; exit 3"), func(c *config.Upstream) { c.StartTimeout = time.Hour }))
		if err := r.service.Await(t.Context()); code(err) != "HR4025" || !strings.Contains(err.Error(), "oh no") || r.raised("service-failing") == "" {
			t.Error(err, r.raised("service-failing"))
		}
	})
	t.Run("late", func(t *testing.T) {
		r := newRig(t)
		file := t.TempDir() + "/go"
		r.open(t, command(script(t, `until [ -e `+file+` ]; do sleep 0.05; done; exec `+python()+` serve.py "$HEADRACE_SOCKET"`), func(c *config.Upstream) {
			c.StartTimeout, c.Env = 300*time.Millisecond, map[string]string{"X": "{socket}"}
		}))
		if err := r.service.Await(t.Context()); code(err) != "HR4025" || r.raised("service-failing") == "" {
			t.Error(err, r.raised("service-failing"))
		}
		r.service.Change(command(r.service.cfg.Run, func(c *config.Upstream) { c.Env = map[string]string{"X": "{socket}"} }))
		touch(t, file)
		r.ready(t, 1)
		until(t, "the condition ends", func() bool { return r.raised("service-failing") == "" })
	})
	t.Run("given up", func(t *testing.T) {
		r := newRig(t)
		r.open(t, command("sleep 600"))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if err := r.service.Await(ctx); !errors.Is(err, context.DeadlineExceeded) || r.raised("service-failing") != "" {
			t.Error(err)
		}
	})
}
