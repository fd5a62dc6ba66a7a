// Command crash kills headrace and its workers at random, seeded and replayable moments while clients enqueue jobs, and checks afterwards
// that nothing acknowledged is lost and that every job has one outcome.
//
//	go run ./test/crash -kills 200 -seed 7
//
// Two ledgers outside of headrace are the witnesses: what clients saw acknowledged, and what the functions did. The exit code is 1 if
// they and headrace disagree; the data folder and the logs are kept then.
package main

import (
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

//go:embed app.py
var app []byte

func main() {
	kills := flag.Int("kills", 10, "how many times something is killed, stopped or filled")
	seed := flag.Uint64("seed", 0, "of the plan; 0 draws one")
	quick := flag.Bool("quick", false, "less load, and none of the slow steps")
	keep := flag.Bool("keep", false, "keep the data folder and the logs in any case")
	only := flag.String("only", "", "do only this step, again and again; see the plan for names")
	flag.Parse()
	if *seed == 0 {
		*seed = rand.Uint64() >> 32
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, newPlan(*kills, *seed, *quick, *only), *keep); err != nil {
		fmt.Fprintln(os.Stderr, "crash:", err)
		stop()
		os.Exit(1)
	}
}

// run carries out the plan in a new folder.
func run(ctx context.Context, p *plan, keep bool) (err error) {
	binary, err := build(ctx)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "headrace-crash-")
	if err != nil {
		return err
	}
	fmt.Printf("seed %d, %d kills, folder %s\n%s", p.seed, len(p.steps), dir, p)
	s, err := newSuite(dir, binary, p)
	if err != nil {
		return err
	}
	err = s.play(ctx)
	if !keep && err == nil {
		return os.RemoveAll(dir)
	}
	fmt.Println("kept:", dir)
	return err
}

// build makes the binary that obeys HEADRACE_FAULT.
func build(ctx context.Context) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	folder := string(root[:len(root)-1])
	binary := filepath.Join(folder, "build", "headrace-faults")
	c := exec.CommandContext(ctx, "go", "build", "-tags", "faults", "-o", binary, "./cmd/headrace")
	c.Dir, c.Stderr = folder, os.Stderr
	if err := c.Run(); err != nil {
		return "", fmt.Errorf("build: %w", err)
	}
	return binary, nil
}

// pause waits, or tells that the context ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

var errLate = errors.New("not in time")

// poll asks until the answer is true; after the limit it is errLate.
func poll(ctx context.Context, limit, every time.Duration, ask func() bool) error {
	for deadline := time.Now().Add(limit); !ask(); {
		if time.Now().After(deadline) {
			return errLate
		}
		if err := pause(ctx, every); err != nil {
			return err
		}
	}
	return nil
}
