package service

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// TestRestart has a process that hangs so that it does not even end at SIGTERM.
func TestRestart(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.open(t, command(python()+" serve.py {socket}", func(c *config.Upstream) { c.Replicas, c.Grace = 2, time.Second }))
	old := r.ready(t, 2)
	old[0].Busy.Add(1) // its request will not end either
	if err := syscall.Kill(old[0].Pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	until(t, "it has stopped", func() bool { // or SIGTERM, which comes next, would be delivered first
		stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", old[0].Pid))
		return strings.Contains(string(stat), ") T ")
	})
	begun := time.Now()
	r.service.Restart(old[0], "it hangs")
	until(t, "it gets no more requests", func() bool { l := r.replicas(); return len(l) == 1 && l[0] == old[1] })
	r.service.Restart(old[1], "it hangs as well")
	<-old[0].exited
	if took := time.Since(begun); took < time.Second || took > 10*time.Second {
		t.Errorf("it ended after %s", took)
	}
	now := r.ready(t, 2)
	if now[0] == old[0] || now[0].Number != 1 || now[1] != old[1] {
		t.Error("not the one that hangs was replaced, or the other one as well")
	}
	if body, err := get(now[0], "/"); err != nil {
		t.Error(body, err)
	}
	if s := r.service.Status(); s[0].Restarts != 1 || s[0].Unhealthy != 1 || s[0].Trouble != "it hangs" || s[1].Restarts != 0 {
		t.Errorf("%+v", s)
	}
	if !r.journal.has("process is started again", "replica=1", "it hangs") || !r.journal.has("process does not end and is killed") {
		t.Error("nothing in the log")
	}

	// The turn is free again; one that was replaced meanwhile is not.
	until(t, "the turn", func() bool {
		r.service.Restart(old[0], "it hung")
		r.service.Restart(old[1], "its turn")
		return r.service.Status()[1].Unhealthy == 1
	})
	r.ready(t, 2)
	if s := r.service.Status(); s[0].Restarts != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRestartThatFails gives the turn to the next one, and goes on trying.
func TestRestartThatFails(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	file := t.TempDir() + "/broken"
	c := command(script(t, `[ -e `+file+` ] && exit 7; exec `+python()+` serve.py "$HEADRACE_SOCKET"`), func(c *config.Upstream) {
		c.Replicas, c.Env = 2, map[string]string{"X": "{socket}"}
	})
	r.open(t, c)
	old := r.ready(t, 2)
	touch(t, file)
	r.service.Restart(old[0], "it hangs")
	until(t, "the turn of the second one", func() bool {
		r.service.Restart(old[1], "it hangs")
		return len(r.replicas()) == 0
	})
	until(t, "the condition", func() bool { return strings.Contains(r.raised("service-failing"), "exit status 7") })
	remove(t, file)
	r.ready(t, 2)
}
