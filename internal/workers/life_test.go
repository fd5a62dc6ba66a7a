package workers

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

func TestOpenFails(t *testing.T) {
	for _, c := range []struct {
		name, code, where string
		cfg               Config
	}{
		{"no app", "HR6010", "missing.py", Config{App: "testdata/missing.py"}},
		{"no python", "HR6004", "python9", Config{App: "testdata/app.py", Python: "python9"}},
		{"broken", "HR6002", "no licence", Config{App: "testdata/broken.py"}},
		{"broken zygote", "HR6002", "broken.py", Config{App: "testdata/broken.py", Zygote: true}},
		{"slow", "HR6003", "", Config{App: "testdata/slow.py", StartTimeout: 500 * time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.cfg.Runtime = sdk(t)
			_, err := Open(context.Background(), c.cfg, &watcher{}, quiet())
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != c.code || !strings.Contains(p.Where, c.where) {
				t.Fatalf("%v", err)
			}
		})
	}
}

func TestRecycleByCount(t *testing.T) {
	p, host := open(t, Config{Zygote: true, MaxTasks: 10})
	until(t, "a task on a third worker", func() bool { // a worker serves on until its replacement is ready
		r, _ := run(t, p, "noop", `{}`)
		o := r.end()
		if o.Ending != Succeeded {
			t.Fatalf("%+v", o)
		}
		return o.Worker == "default-3"
	})
	until(t, "two recycled workers", func() bool { return p.Status().Deaths["recycled"] >= 2 })
	host.mu.Lock()
	defer host.mu.Unlock()
	for _, d := range host.deaths {
		if d.Reason != "recycled" || d.ExitCode != 0 {
			t.Errorf("%+v", d)
		}
	}
}

func TestRecycleByMemory(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, RecycleMemory: 100 << 20, WatchEvery: 10 * time.Millisecond})
	r, _ := run(t, p, "hold", `{"megabytes":150}`)
	if o := r.end(); o.Ending != Succeeded {
		t.Fatalf("%+v", o)
	}
	until(t, "a smaller worker", func() bool {
		s := p.Status()
		return s.Deaths["recycled"] == 1 && len(s.Workers) == 1 && s.Workers[0].State == Ready
	})
}

func TestRecycleByAge(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, MaxAge: 50 * time.Millisecond, WatchEvery: 10 * time.Millisecond})
	until(t, "a recycled worker", func() bool { return p.Status().Deaths["recycled"] > 0 })
}

func TestScale(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, Min: 1, Max: 3, MaxCPU: 2, IdleAfter: 100 * time.Millisecond, WatchEvery: 10 * time.Millisecond})
	var records []*record
	var runs []*Run
	for range 3 { // the second and the third need another worker
		r, run := run(t, p, "nap", `{"seconds":600}`)
		r.wait(r.progressed, "progress")
		records, runs = append(records, r), append(runs, run)
	}
	if s := p.Status(); s.Wanted != 3 || len(s.Workers) != 3 || s.Workers[2].State != Busy {
		t.Errorf("%+v", s)
	}
	if _, ok := p.Offer(&Task{Function: "nap", Args: []byte(`{"seconds":0}`), Sink: newRecord(t)}); ok {
		t.Error("a task was staged behind a long one")
	}
	for i, run := range runs {
		run.Cancel("cancelled")
		records[i].end()
	}
	until(t, "one worker", func() bool { s := p.Status(); return len(s.Workers) == 1 && s.Wanted == 1 })
	if d := p.Status().Deaths; d["idle"] != 2 {
		t.Errorf("%v", d)
	}
}

func write(t *testing.T, file, code string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

const versioned = `
import time
import headrace as hr
app = hr.App()
@app.job()
def version() -> int:
    return VERSION
@app.job()
def nap(seconds: float, job: hr.Job) -> int:
    job.progress(0)
    time.sleep(seconds)
    return VERSION
@app.batch(size=100, wait="10s")
def many(n: list[int]) -> list[int]:
    return [VERSION for _ in n]
`

func TestReload(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		cfg.App = filepath.Join(t.TempDir(), "app.py")
		cfg.Min = 2
		code := func(v string) string { return strings.ReplaceAll(versioned, "VERSION", v) }
		write(t, cfg.App, code("1"))
		p, _ := open(t, cfg)
		old, _ := run(t, p, "nap", `{"seconds":1}`)
		old.wait(old.progressed, "progress")

		write(t, cfg.App, "import headrace as hr\napp = hr.App()\nbroken(")
		err := p.Reload(context.Background())
		if got := problem.From(err); got.Code != "HR6002" || !strings.Contains(got.What+got.Where, "SyntaxError") {
			t.Fatalf("%v", err)
		}
		r, _ := run(t, p, "version", `{}`)
		if o := r.end(); string(o.Result) != "1" {
			t.Errorf("after a failed reload: %+v", o)
		}
		item, _ := run(t, p, "many", `{"n":1}`)

		write(t, cfg.App, code("2")+"\n# longer, so that no cached bytecode fits\n")
		if err := p.Reload(context.Background()); err != nil {
			t.Fatal(err)
		}
		r, _ = run(t, p, "version", `{}`)
		if o := r.end(); string(o.Result) != "2" {
			t.Errorf("after the reload: %s", o.Result)
		}
		if o := old.end(); o.Ending != Succeeded || string(o.Result) != "1" {
			t.Errorf("the task that ran: %+v", o)
		}
		if err := p.Restart(context.Background()); err != nil {
			t.Fatal(err)
		}
		until(t, "old workers gone", func() bool { s := p.Status(); return s.Deaths["reload"] == 4 && len(s.Workers) == 2 })
		p.Drain(context.Background())
		if o := item.end(); o.Ending != Interrupted && string(o.Result) != "2" {
			t.Errorf("the item that was gathered: %+v", o)
		}
		if _, ok := p.Offer(&Task{Function: "version", Sink: newRecord(t)}); ok {
			t.Error("a drained pool takes tasks")
		}
	})
}

func TestUnhealthyAndBack(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	p, host := open(t, Config{App: "testdata/dies.py", Env: []string{"MARKER=" + marker}, FastDeaths: 3, WatchEvery: 10 * time.Millisecond})
	write(t, marker, "")
	if err := syscall.Kill(p.Status().Workers[0].Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "unhealthy", func() bool { return !p.Status().Healthy })
	_, err := p.Call(&Task{Function: "noop", Args: []byte(`{}`), Sink: newRecord(t)}, time.Minute)
	if got := problem.From(err); got.Code != "HR6005" || !strings.Contains(got.Where, "cannot live like this") {
		t.Errorf("%v", err)
	}
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	until(t, "healthy", func() bool { return p.Status().Healthy })
	r, _ := run(t, p, "noop", `{}`)
	if o := r.end(); o.Ending != Succeeded {
		t.Errorf("%+v", o)
	}
	until(t, "told", func() bool {
		host.mu.Lock()
		defer host.mu.Unlock()
		return len(host.health) == 2 && host.health[0].Code == "HR6005" && host.health[1] == nil
	})
}

func TestStopEndsWhatRuns(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, Grace: 100 * time.Millisecond, CancelGrace: 200 * time.Millisecond})
	r, _ := run(t, p, "deaf", `{}`)
	r.wait(r.progressed, "progress")
	begin := time.Now()
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if o := r.end(); o.Ending != Interrupted {
		t.Errorf("%+v", o)
	}
	if took := time.Since(begin); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := p.Stop(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestStoppingGivesBack(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, Grace: time.Hour})
	r, _ := run(t, p, "hasty", `{}`)
	if o := r.end(); o.Ending != Failed || o.Error.Type != "Interrupted" {
		t.Errorf("a task of a worker that stays gave itself back: %+v", o)
	}
	r, _ = run(t, p, "willing", `{}`)
	r.wait(r.progressed, "progress")
	begin := time.Now()
	if err := p.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	if o := r.end(); o.Ending != Interrupted || r.checkpoint != `{"cancelled":false}` {
		t.Errorf("%+v %+v %s", o, o.Error, r.checkpoint)
	}
	if took := time.Since(begin); took > patience {
		t.Errorf("it took %s", took)
	}
}

func TestCalls(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, QueuedCalls: 2, CancelGrace: 100 * time.Millisecond})
	busy, running := run(t, p, "nap", `{"seconds":600}`)
	busy.wait(busy.progressed, "progress")
	call := func(patience time.Duration) (*record, error) {
		r := newRecord(t)
		_, err := p.Call(&Task{Function: "whoami", Args: []byte(`{}`), Sink: r}, patience)
		return r, err
	}
	hasty, err := call(20 * time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	patient, err := call(time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(time.Hour); problem.From(err).Code != "HR2014" {
		t.Errorf("a third call: %v", err)
	}
	if o := hasty.end(); o.Ending != Interrupted || o.Error.Type != "HR2014" {
		t.Errorf("%+v", o)
	}
	if _, ok := p.Offer(&Task{Function: "noop", Sink: newRecord(t)}); ok {
		t.Error("a job went ahead of a call")
	}
	running.Cancel("cancelled")
	busy.end()
	if o := patient.end(); o.Ending != Succeeded {
		t.Errorf("%+v", o)
	}
}

func TestShortTasksSpreadOverIdleWorkersFirst(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, Min: 2})
	for range 10 {
		r, _ := run(t, p, "add", `{"a":1,"b":1}`)
		r.end()
	}
	if got := p.Room("nap"); got != 2 {
		t.Errorf("room for %d new tasks on two idle workers", got)
	}
	if got := p.Room("add"); got < 4 {
		t.Errorf("room for only %d short tasks", got)
	}
	var records []*record
	for range 4 {
		r := newRecord(t)
		if _, ok := p.Offer(&Task{Function: "add", Args: []byte(`{"a":1,"b":1}`), Sink: r}); !ok {
			t.Fatal("no room")
		}
		records = append(records, r)
	}
	p.Flush()
	on := map[string]int{}
	for _, r := range records {
		on[r.end().Worker]++
	}
	if len(on) != 2 {
		t.Errorf("spread: %v", on)
	}
}

func TestReloadHealsAPool(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	p, _ := open(t, Config{App: "testdata/dies.py", Env: []string{"MARKER=" + marker}, FastDeaths: 1, WatchEvery: 10 * time.Millisecond})
	write(t, marker, "")
	if err := syscall.Kill(p.Status().Workers[0].Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "unhealthy", func() bool { return !p.Status().Healthy })
	if err := p.Reload(context.Background()); problem.From(err).Code != "HR6005" {
		t.Errorf("reload of code that dies: %v", err)
	}
	if err := os.Remove(marker); err != nil {
		t.Fatal(err)
	}
	if err := p.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	until(t, "healthy", func() bool { return p.Status().Healthy })
}

func TestAsyncTasksRunAbreast(t *testing.T) {
	p, _ := open(t, Config{Zygote: true, CancelGrace: 100 * time.Millisecond})
	var records []*record
	var runs []*Run
	for range 8 {
		r, run := run(t, p, "doze", `{"seconds":600}`)
		records, runs = append(records, r), append(runs, run)
	}
	for _, r := range records {
		r.wait(r.progressed, "progress")
	}
	if _, ok := p.Offer(&Task{Function: "doze", Args: []byte(`{"seconds":0}`), Sink: newRecord(t)}); ok {
		t.Error("a ninth task was taken with concurrency 8")
	}
	runs[3].Cancel("cancelled")
	if o := records[3].end(); o.Ending != Cancelled || o.Death != nil {
		t.Errorf("%+v", o)
	}
	if p.Room("doze") != 1 {
		t.Errorf("room for %d", p.Room("doze"))
	}
	for _, run := range runs {
		run.Cancel("gone")
	}
	for _, r := range records {
		r.end()
	}
}
