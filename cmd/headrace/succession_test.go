package main

import (
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/rogpeppe/go-internal/testscript"
)

// succession is the script command `succession FILE`: it replaces the process of `serve` twice while clients ask. The services of the new one
// become ready when the file is there; until then it is not ready either. No request may fail.
func succession(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: succession FILE")
	}
	file, readyz := ts.MkAbs(args[0]), ts.Getenv("HEADRACE_SERVER")+"/readyz"
	crowd := newCrowd(ts.Getenv("PUBLIC") + "/")
	defer crowd.end()
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	for number := range 2 {
		crowd.answered(ts, 50)
		ts.Check(os.Remove(file))
		ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
		until(ts, "the next process waits", func() bool {
			text := fetch(ts, readyz)
			return strings.Contains(text, `"ready":false`) && strings.Contains(text, "services-starting")
		})
		ts.Check(os.WriteFile(file, nil, 0o600))
		pid = successor(ts, handed, number)
		ts.Defer(func() { _ = syscall.Kill(pid, syscall.SIGTERM) })
		crowd.answered(ts, 50)
		if text := fetch(ts, readyz); !strings.Contains(text, `"ready":true`) || strings.Contains(text, "services-starting") {
			ts.Fatalf("conditions: %s", text)
		}
	}
	crowd.check(ts)
	ts.Logf("%d requests", crowd.asked.Load())
}
