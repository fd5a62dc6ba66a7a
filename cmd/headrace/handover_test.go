package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// handover is the script command `handover`: it serves a route to an upstream, and replaces the process three times while clients ask, with
// kept connections and with new ones, and while one request is long under way. No request may fail.
func handover(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) > 0 {
		ts.Fatalf("usage: handover")
	}
	upstream, end := slow(ts)
	ts.Check(os.WriteFile(ts.MkAbs("headrace.yaml"), []byte("routes: [{match: /*, proxy: \""+upstream+"\"}]\n"), 0o600))
	serve(ts, false, []string{"run"})
	pid, crowd, finish := busy(ts, end)
	for number := range 3 {
		ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
		next := successor(ts, handed, number)
		ts.Defer(func() { _ = syscall.Kill(next, syscall.SIGTERM) })
		crowd.answered(ts, 100)
		pid = next
	}
	finish()
}

// busy gives the process that serves a request that lasts until release is called, and a crowd. finish is to be called when nothing more happens:
// no request may have failed, and the long one ends well.
func busy(ts *testscript.TestScript, release func()) (pid int, c *crowd, finish func()) {
	public := ts.Getenv("PUBLIC")
	long, err := http.Get(public + "/long")
	ts.Check(err)
	ts.Defer(func() { _ = long.Body.Close() })
	c = newCrowd(public + "/")
	ts.Defer(c.end)
	pid, err = strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	return pid, c, func() {
		c.check(ts)
		release()
		body, err := io.ReadAll(long.Body)
		if ts.Check(err); string(body) != "begun ended" {
			ts.Fatalf("the long answer is %q", body)
		}
		ts.Logf("%d requests", c.asked.Load())
	}
}

// crowd asks all the time, with kept connections and with new ones.
type crowd struct {
	end     func() // waits for the requests under way
	asked   atomic.Int64
	failure atomic.Pointer[string]
}

func newCrowd(address string) *crowd {
	c := &crowd{}
	ctx, cancel := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			client := &http.Client{Timeout: 60 * time.Second, Transport: &http.Transport{DisableKeepAlives: n%2 == 0}}
			for ctx.Err() == nil {
				if err := ask(client, address); err != nil {
					text := err.Error()
					c.failure.Store(&text)
				}
				c.asked.Add(1)
			}
		})
	}
	c.end = func() { cancel(); clients.Wait() }
	return c
}

// answered waits for requests that end from now on.
func (c *crowd) answered(ts *testscript.TestScript, n int64) {
	before := c.asked.Load()
	until(ts, "requests", func() bool { return c.asked.Load() > before+n })
}

// check ends the crowd, none of whose requests may have failed.
func (c *crowd) check(ts *testscript.TestScript) {
	c.end()
	if text := c.failure.Load(); text != nil {
		ts.Fatalf("a request failed: %s", *text)
	}
}

func ask(client *http.Client, address string) error {
	answer, err := client.Get(address)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && string(body) != "ended" {
		err = fmt.Errorf("%s %.300q", answer.Status, body)
	}
	return err
}

// What the log says of a process that serves.
var (
	handed   = regexp.MustCompile(`the next process serves.*?pid"?[=:](\d+)`)
	restored = regexp.MustCompile(`the former program serves again.*?pid"?[=:](\d+)`)
)

// successor is the process that serves since the log said so for the time of this number.
func successor(ts *testscript.TestScript, says *regexp.Regexp, number int) (pid int) {
	until(ts, "the next process", func() bool {
		text, _ := os.ReadFile(ts.MkAbs("server.log"))
		found := says.FindAllStringSubmatch(string(text), -1)
		if len(found) > number {
			pid, _ = strconv.Atoi(found[number][1])
		}
		return pid != 0
	})
	return pid
}

func until(ts *testscript.TestScript, what string, ok func() bool) {
	deadline := time.After(60 * time.Second)
	for tick := time.NewTicker(5 * time.Millisecond); !ok(); {
		select {
		case <-deadline:
			text, _ := os.ReadFile(ts.MkAbs("server.log"))
			ts.Fatalf("never: %s\n%s", what, text)
		case <-tick.C:
		}
	}
}
