package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// contender is a job system under test. It is started fresh for a group of scenarios, and never beside another.
type contender interface {
	name() string
	durability() string
	start(ctx context.Context, setup setup) error
	stop()

	addr() string                                           // where jobs are enqueued and functions called
	enqueue(into []byte, function string, index int) []byte // appends the request that enqueues one job; 202 is success
	call(into []byte, index int) []byte                     // appends the request whose answer is 200 and index
	static() (addr string, request []byte)                  // a file of 1 KiB
	bulk(ctx context.Context, first, count int) error       // enqueues noop jobs with the system's own bulk client

	recorded() (int, error) // results stored, or jobs recorded as succeeded
	servers() []int         // roots of the processes that are the system, workers included
	client() []int          // roots of processes that only enqueue
}

// setup is how a contender is started.
type setup struct {
	dir     string  // for its files
	ledger  *ledger // signed by its jobs
	hold    string  // file that keeps hold and burn jobs going
	workers int     // processes
	pandas  bool    // workers import pandas
	durable string  // other durability than the one users get: rivals appendfsync, headrace engine.durability
}

func (s setup) env() []string {
	env := []string{
		"BENCH_LEDGER=" + s.ledger.path, "BENCH_HOLD=" + s.hold, "PYTHONPATH=" + appsDir,
		"PYTHONDONTWRITEBYTECODE=1", "BENCH_CONCURRENCY=16",
	}
	if s.pandas {
		env = append(env, "BENCH_PANDAS=1")
	}
	return env
}

// get and post make requests without and with a body.
func get(into []byte, path string) []byte {
	return fmt.Appendf(into, "GET %s HTTP/1.1\r\nHost: bench\r\n\r\n", path)
}

func post(into []byte, path, kind, body string) []byte {
	return fmt.Appendf(into, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, kind, len(body), body)
}

// fresh makes the folder and ledger of one start.
func fresh(parent, name string) (setup, error) {
	dir, err := os.MkdirTemp(parent, name+"-")
	if err != nil {
		return setup{}, err
	}
	book, err := openLedger(filepath.Join(dir, "ledger"))
	return setup{dir: dir, ledger: book, hold: filepath.Join(dir, "hold"), workers: 2}, err
}
