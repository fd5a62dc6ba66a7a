package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
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
	release := make(chan struct{})
	end := sync.OnceFunc(func() { close(release) })
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			_, _ = w.Write([]byte("begun "))
			w.(http.Flusher).Flush()
			<-release
		}
		_, _ = w.Write([]byte("ended"))
	}))
	ts.Defer(upstream.Close)
	ts.Defer(end)
	ts.Check(os.WriteFile(ts.MkAbs("headrace.yaml"), []byte("routes: [{match: /*, proxy: \""+upstream.URL+"\"}]\n"), 0o600))
	serve(ts, false, []string{"run"})
	public := ts.Getenv("PUBLIC")

	long, err := http.Get(public + "/long")
	ts.Check(err)
	defer long.Body.Close()

	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var clients sync.WaitGroup
	var asked atomic.Int64
	var failed atomic.Pointer[string]
	for n := range 8 {
		clients.Go(func() {
			client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableKeepAlives: n%2 == 0}}
			for ctx.Err() == nil {
				if err := ask(client, public+"/"); err != nil {
					text := err.Error()
					failed.Store(&text)
				}
				asked.Add(1)
			}
		})
	}
	pid, err := strconv.Atoi(ts.Getenv("PID"))
	ts.Check(err)
	for number := range 3 {
		ts.Check(syscall.Kill(pid, syscall.SIGUSR2))
		next := successor(ts, number)
		ts.Defer(func() { _ = syscall.Kill(next, syscall.SIGTERM) })
		before := asked.Load()
		until(ts, "requests after the handover", func() bool { return asked.Load() > before+100 })
		pid = next
	}
	cancel()
	clients.Wait()
	if text := failed.Load(); text != nil {
		ts.Fatalf("a request failed: %s", *text)
	}
	end()
	body, err := io.ReadAll(long.Body)
	if ts.Check(err); string(body) != "begun ended" {
		ts.Fatalf("the long answer is %q", body)
	}
	ts.Logf("%d requests", asked.Load())
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

var handed = regexp.MustCompile(`the next process serves.*?pid"?[=:](\d+)`)

// successor is the process that serves since the handover of this number.
func successor(ts *testscript.TestScript, number int) (pid int) {
	until(ts, "the next process", func() bool {
		text, _ := os.ReadFile(ts.MkAbs("server.log"))
		found := handed.FindAllStringSubmatch(string(text), -1)
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
