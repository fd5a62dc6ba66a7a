// Command jobs measures headrace beside Celery, Dramatiq and BullMQ, one after another on this machine, and writes the table to
// bench/results/jobs.md. Run it from the checkout: go run ./bench/jobs [-quick] [-only headrace,celery]. It installs the rivals below
// build/bench itself. Every scenario counts how often each job ran; a lost or repeated job ends the program with an error.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/headrace/headrace/bench/rig"
)

var (
	full = sizes{
		repeat: 3, kills: 5, like: true, seconds: 2 * time.Second, patience: time.Minute, upload: 1 << 30,
		jobs: map[string]int{"headrace": 50_000, "Celery": 3_000, "Dramatiq": 6_000, "BullMQ": 30_000},
	}
	quick = sizes{
		repeat: 1, kills: 1, seconds: 500 * time.Millisecond, patience: 2 * time.Second, upload: 64 << 20,
		jobs: map[string]int{"headrace": 5_000, "Celery": 300, "Dramatiq": 500, "BullMQ": 2_000},
	}
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	small := flag.Bool("quick", false, "one short repetition of everything, under a minute; the table is printed, not written")
	only := flag.String("only", "", "contenders, separated by commas; empty is all")
	flag.Parse()
	if err := measure(ctx, *small, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench/jobs:", err)
		os.Exit(1)
	}
}

func measure(ctx context.Context, small bool, only string) error {
	root, err := os.Getwd()
	if err != nil {
		return err
	}
	buildDir, appsDir = filepath.Join(root, "build/bench"), filepath.Join(root, "bench/jobs/apps")
	if _, err := os.Stat(appsDir); err != nil {
		return errors.New("run it from the root of the checkout")
	}
	if err := os.MkdirAll(filepath.Join(buildDir, "runs"), 0o755); err != nil {
		return err
	}
	if err := install(ctx); err != nil {
		return err
	}
	sizes := full
	if small {
		sizes = quick
	}
	report := &report{values: map[string]map[string][]float64{}, words: map[string]map[string]string{}}
	text := method(sizes) + rig.OtherLoad()
	started := time.Now()
	for _, contender := range append([]contender{&headrace{}}, rivals()...) {
		if only != "" && !strings.Contains(","+strings.ToLower(only)+",", ","+strings.ToLower(contender.name())+",") {
			continue
		}
		report.contenders = append(report.contenders, contender.name())
		text += fmt.Sprintf("- %s: N = %d; %s\n", contender.name(), sizes.jobs[contender.name()], contender.durability())
		begun := time.Now()
		if err := contest(ctx, contender, report, sizes); err != nil {
			return fmt.Errorf("%s: %w", contender.name(), err)
		}
		fmt.Fprintf(os.Stderr, "%s: %.0f s\n", contender.name(), time.Since(begun).Seconds())
	}
	report.contenders = append(report.contenders, bare)
	if err := floor(ctx, report, sizes); err != nil {
		return fmt.Errorf("%s: %w", bare, err)
	}
	page := fmt.Sprintf("# Jobs beside their rivals\n\n`make bench/jobs`, %s, %.0f s.\n\n%s\n## Machine\n\n%s\n## Method\n\n%s",
		started.Format(time.DateOnly), time.Since(started).Seconds(), report.table(), machine(), text)
	fmt.Print(page)
	if small || only != "" {
		return nil
	}
	results := filepath.Join(root, "bench/results")
	if err := os.MkdirAll(results, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(results, "jobs.md"), []byte(page), 0o644)
}

// contest runs all scenarios of one contender.
func contest(ctx context.Context, c contender, r *report, s sizes) error {
	stages := []func(context.Context, contender, *report, sizes) error{throughput, pandas}
	if s.like {
		stages = append(stages, synced)
	}
	if _, own := c.(*headrace); own {
		stages = append(stages, upload, idle)
	}
	for _, stage := range stages {
		if err := stage(ctx, c, r, s); err != nil {
			return err
		}
	}
	return nil
}

// throughput is scenarios 1 to 4 and 9, repeated on one start, and then 5, which may leave a contender without workers.
func throughput(ctx context.Context, c contender, r *report, s sizes) error {
	b, err := begin(ctx, c, r, s, nil)
	if err != nil {
		return err
	}
	defer b.end()
	if _, own := c.(*headrace); !own { // the server of a rival is Redis, which knows no workers; still empty now
		b.note(idleMemory, mega(rig.Resident(c.servers()[0])))
	}
	for range s.repeat {
		if err := b.round(ctx); err != nil {
			return err
		}
	}
	for range s.kills { // one that takes long is not asked again
		if again, err := b.killed(ctx); err != nil || !again {
			return err
		}
	}
	return nil
}

func (b *bout) round(ctx context.Context) error {
	bulk, err := b.endToEnd(ctx, jobRate)
	if err != nil {
		return err
	}
	single, err := b.singles(ctx)
	if err != nil {
		return err
	}
	if err := b.pickup(ctx, min(bulk, single)/2, halfLoad); err != nil {
		return err
	}
	if err := b.pickup(ctx, 200, lowLoad); err != nil {
		return err
	}
	if err := b.calls(ctx); err != nil {
		return err
	}
	return b.burning(ctx)
}

// synced repeats scenario 1 with the other durability, so that like stands beside like.
func synced(ctx context.Context, c contender, r *report, s sizes) error {
	_, own := c.(*headrace)
	usual, other, durable := jobWritten, jobSynced, "always"
	if own {
		usual, other, durable = jobSynced, jobWritten, "written"
	}
	for _, value := range r.values[jobRate][c.name()] {
		r.add(usual, c.name(), value)
	}
	b, err := begin(ctx, c, r, s, func(setup *setup) { setup.durable = durable })
	if err != nil {
		return err
	}
	defer b.end()
	for range s.repeat {
		if _, err := b.endToEnd(ctx, other); err != nil {
			return err
		}
	}
	return nil
}

// pandas is scenario 6, with a single worker.
func pandas(ctx context.Context, c contender, r *report, s sizes) error {
	if c.name() == "BullMQ" {
		r.say(replacement, c.name(), "no Python")
		return nil
	}
	b, err := begin(ctx, c, r, s, func(setup *setup) { setup.pandas, setup.workers = true, 1 })
	if err != nil {
		return err
	}
	defer b.end()
	for range s.kills {
		if again, err := b.replaced(ctx); err != nil || !again {
			return err
		}
	}
	return nil
}

// upload is scenario 7.
func upload(ctx context.Context, c contender, r *report, s sizes) error {
	b, err := begin(ctx, c, r, s, nil)
	if err != nil {
		return err
	}
	defer b.end()
	for range s.repeat {
		if err := b.uploaded(ctx, c.servers()[0]); err != nil {
			return err
		}
	}
	return nil
}

// idle is scenario 8 for headrace.
func idle(ctx context.Context, c contender, r *report, s sizes) error {
	b, err := begin(ctx, c, r, s, func(setup *setup) { setup.workers = 0 })
	if err != nil {
		return err
	}
	defer b.end()
	if err := rig.Poll(ctx, 10*time.Second, time.Second, "idle", settled(c.servers()[0])); err != nil {
		return err
	}
	b.note(idleMemory, mega(rig.Resident(c.servers()[0])))
	return nil
}

// settled is true once a process has used no CPU between two looks.
func settled(pid int) func() (bool, error) {
	last := time.Duration(-1)
	return func() (bool, error) {
		now := cpu([]int{pid})
		same := now-last <= 10*time.Millisecond && last >= 0
		last = now
		return same, nil
	}
}

func method(s sizes) string {
	return fmt.Sprintf(`- Contenders run one after another on loopback; the load generator (bench/load) competes with them for the cores, and its CPU is not
  counted. Two worker processes each. %d repetitions on one start (%d of the kills): the median, and the range where it is wider than a tenth.
- Every run of a job appends its number, time and process to a ledger. After each scenario every acknowledged job must stand there
  exactly once, and as many results must be recorded; otherwise the program ends with an error.
- Rivals have no HTTP door of their own: singles, calls and static files go through the least one could write (uvicorn with uvloop and no
  framework, node:http). In 1 they enqueue with their own client: Celery apply_async and Dramatiq send (they have no bulk),
  BullMQ addBulk of 100, 8 at a time; headrace gets POST /v1/jobs with arrays of 100, 8 at a time.
- CPU is user and system time of Redis or headrace and all workers. Memory is PSS.
- 2: closed loop, so 256 connections wait for each other: at 15,000/s the mean would be 17 ms whatever the server does. Open loop: as many requests a
  second, from when each was due; not for contenders that do not reach them.
- %s is no rival and no job system: the HTTP library of headrace, a file and fdatasync (bench/jobs/bare), which nothing runs from. It tells what
  the machine leaves of the latencies of 2.
- 3: half load is half of what 1 or 2 sustained, whichever is less; the common load is 200/s. Open loop: due is when the request
  should have been sent.
- 5: one job runs, the other worker is idle, the process of the job gets SIGKILL. Celery has task_reject_on_worker_lost set; without it
  the job is marked failed and not run again. Worker processes of rivals that end are started again at once, as by a service manager:
  Dramatiq ends all its processes when one is killed.
- 9: the thread that makes the load goes before all others (SCHED_FIFO, as root), so that what it waits for a core while the workers burn is not
  counted as the server's.
`, s.repeat, s.kills, bare)
}
