package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/headrace/headrace/bench/load"
	"github.com/headrace/headrace/bench/rig"
)

// bare is no rival: a server that does nothing but sync what it is sent (bench/jobs/bare).
const bare = "bare sync"

// floor is scenario 2 with the bare server.
func floor(ctx context.Context, r *report, s sizes) error {
	dir, err := os.MkdirTemp(filepath.Join(buildDir, "runs"), "bare-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "bare")
	if err := command(ctx, ".", "go", "build", "-trimpath", "-o", program, "./bench/jobs/bare"); err != nil {
		return err
	}
	addr := rig.FreeAddr()
	p, err := spawn("bare", dir, []string{"BENCH_PORT=" + rig.Port(addr)}, program)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.listening(ctx, addr); err != nil {
		return err
	}
	plan := load.Plan{
		Addr: addr, Connections: singlesAtOnce, Duration: s.seconds, Check: accepted,
		Next: func(request int, into []byte) []byte {
			return post(into, "/v1/jobs/noop", "application/json", fmt.Sprintf(`{"index":%d}`, request))
		},
	}
	for range s.repeat {
		closed, err := load.Closed(ctx, plan)
		if err = failure(err, closed); err != nil {
			return err
		}
		r.note(singleRate, bare, closed.Rate())
		r.percentiles(singleP50, singleP99, bare, &closed.Latency)
		open, err := load.Open(ctx, singleGiven, plan)
		if err = failure(err, open); err != nil {
			return err
		}
		r.percentiles(givenP50, givenP99, bare, &open.Latency)
	}
	return nil
}
