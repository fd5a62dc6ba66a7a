package jobs

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

const noopApp = `
import headrace as hr
app = hr.App()

@app.job()
def noop() -> None: ...
`

// rig is the plane with the real engine and a real pool of Python processes.
type rig struct {
	t      testing.TB
	dir    string
	config *config.Config
	engine *engine.Engine
	fns    *functions.Registry
	jobs   *Jobs
	pool   *workers.Pool

	minFree int64 // bytes; none if negative
	workers int
}

func newRig(t testing.TB, app string, change ...func(*config.Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), config: config.Default(), minFree: -1, workers: 2}
	r.config.Engine.Data = filepath.Join(r.dir, "data")
	for _, c := range change {
		c(r.config)
	}
	r.write(app)
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) write(app string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, "app.py"), []byte(app), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	r.t.Cleanup(cancel)
	return ctx
}

// open starts engine, plane and pool, as a start of headrace does.
func (r *rig) open() {
	r.t.Helper()
	log := slog.New(slog.NewTextHandler(testWriter{r.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	if r.engine, err = engine.Open(r.ctx(), engine.Config{Data: r.config.Engine.Data, Durability: engine.Fsync, MinFree: r.minFree}, log); err != nil {
		r.t.Fatal(err)
	}
	r.fns = functions.NewRegistry()
	if r.jobs, err = Open(r.ctx(), r.config, r.engine, r.fns, log); err != nil {
		r.t.Fatal(err)
	}
	runtime, err := filepath.Abs("../../sdk/python/src")
	if err != nil {
		r.t.Fatal(err)
	}
	r.pool, err = workers.Open(r.ctx(), workers.Config{Name: "default", App: filepath.Join(r.dir, "app.py"), Min: r.workers, Max: r.workers, Zygote: true,
		Runtime: runtime, CancelGrace: 400 * time.Millisecond, Spool: filepath.Join(r.dir, "data", "spool")}, quiet{}, log)
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.fns.SetPool(r.pool); err != nil {
		r.t.Fatal(err)
	}
	r.jobs.SetPool(r.pool)
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r.jobs.Quiesce()
	for _, stop := range []func(context.Context) error{r.pool.Stop, r.jobs.Stop, r.engine.Stop} {
		if err := stop(ctx); err != nil {
			r.t.Error(err)
		}
	}
}

// reopen stops everything and starts it on the same data.
func (r *rig) reopen() {
	r.t.Helper()
	r.close()
	r.open()
}

func (r *rig) enqueue(q Request) ID {
	r.t.Helper()
	if q.Args == nil {
		q.Args = []byte("{}")
	}
	receipts, err := r.jobs.Enqueue(r.ctx(), []Request{q})
	if err == nil {
		err = receipts[0].Err
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return receipts[0].ID
}

// refused returns the problem of a request that is not taken.
func (r *rig) refused(q Request) *problem.Error {
	r.t.Helper()
	if q.Args == nil {
		q.Args = []byte("{}")
	}
	receipts, err := r.jobs.Enqueue(r.ctx(), []Request{q})
	if err == nil {
		err = receipts[0].Err
	}
	var p *problem.Error
	if !errors.As(err, &p) {
		r.t.Fatalf("request was taken: %+v, error %v", receipts, err)
	}
	return p
}

// wait returns the job when it has ended, which must be in this state.
func (r *rig) wait(id ID, state State) Info {
	r.t.Helper()
	info, err := r.jobs.Wait(r.ctx(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	if info.State != state.String() {
		attempts, _ := r.jobs.Attempts(id)
		r.t.Fatalf("job is %s, want %s: %+v %+v", info.State, state, info, attempts)
	}
	return info
}

func (r *rig) result(id ID) string {
	r.t.Helper()
	body, err := r.jobs.Result(r.ctx(), id)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(body)
}

// until polls a condition with a deadline.
func (r *rig) until(what string, ok func() bool) {
	r.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			r.t.Fatalf("not in time: %s", what)
		}
	}
}

func (r *rig) state(id ID) string {
	r.t.Helper()
	info, err := r.jobs.Get(id)
	if err != nil {
		r.t.Fatal(err)
	}
	return info.State
}

// file returns the lines of a file that the app wrote beside itself.
func (r *rig) file(name string) []string {
	body, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return nil
	}
	return strings.Fields(string(body))
}

type quiet struct{}

func (quiet) Line(string, string, []byte)           {}
func (quiet) WorkerStarted(string, int)             {}
func (quiet) WorkerDied(string, int, workers.Death) {}
func (quiet) Health(*problem.Error)                 {}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Helper()
	w.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

func (r *rig) touch(name string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
}
