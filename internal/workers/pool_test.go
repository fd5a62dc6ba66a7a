package workers

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/problem"
)

const patience = 30 * time.Second // of a test, for what takes milliseconds on a quiet machine

// record is a Sink that keeps what it is told.
type record struct {
	t          testing.TB
	mu         sync.Mutex
	worker     string
	pid        int
	events     []string
	chunks     []string
	logs       []string
	checkpoint string
	outcome    Outcome
	dones      int
	started    chan struct{}
	progressed chan struct{}
	done       chan struct{}
}

func newRecord(t testing.TB) *record {
	return &record{t: t, started: make(chan struct{}), progressed: make(chan struct{}), done: make(chan struct{})}
}

func (r *record) note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dones > 0 {
		r.t.Errorf("%s after Done", event)
	}
	r.events = append(r.events, event)
}

func (r *record) Started(worker string, pid int) {
	r.note("started")
	r.worker, r.pid = worker, pid
	close(r.started)
}

func (r *record) Progress([]byte) {
	r.note("progress")
	select {
	case <-r.progressed:
	default:
		close(r.progressed)
	}
}

func (r *record) Chunk(body []byte)      { r.note("chunk"); r.chunks = append(r.chunks, string(body)) }
func (r *record) Checkpoint(body []byte) { r.note("checkpoint"); r.checkpoint = string(body) }

func (r *record) Log(body []byte) {
	r.note("log")
	var log struct{ Level, Text string }
	if err := json.Unmarshal(body, &log); err != nil {
		r.t.Error(err)
	}
	r.logs = append(r.logs, log.Level+": "+log.Text)
}

func (r *record) Request(body []byte, reply func([]byte)) {
	r.note("request")
	var ask struct {
		ID uint32 `json:"id"`
	}
	if err := json.Unmarshal(body, &ask); err != nil {
		r.t.Error(err)
	}
	go reply(fmt.Appendf(nil, `{"id":%d,"ok":{"id":"job-2"}}`, ask.ID))
}

func (r *record) Done(o Outcome) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dones++; r.dones > 1 {
		r.t.Error("Done twice")
		return
	}
	o.Result = append([]byte(nil), o.Result...)
	r.outcome = o
	close(r.done)
}

func (r *record) wait(ch <-chan struct{}, what string) {
	r.t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		r.t.Fatal("no ", what)
	}
}

func (r *record) end() Outcome {
	r.t.Helper()
	r.wait(r.done, "end")
	return r.outcome
}

// watcher is a Host that keeps what it is told.
type watcher struct {
	mu     sync.Mutex
	lines  []string
	deaths []Death
	health []*problem.Error
	ready  int
}

func (h *watcher) Line(worker, stream string, line []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.lines = append(h.lines, stream+": "+string(line))
}
func (h *watcher) WorkerStarted(string, int) { h.mu.Lock(); defer h.mu.Unlock(); h.ready++ }
func (h *watcher) WorkerDied(_ string, _ int, d Death) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.deaths = append(h.deaths, d)
}
func (h *watcher) Health(p *problem.Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.health = append(h.health, p)
}

func sdk(t testing.TB) string {
	t.Helper()
	path, err := filepath.Abs("../../sdk/python/src")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func quiet() *slog.Logger {
	if os.Getenv("HEADRACE_TEST_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func open(t testing.TB, cfg Config) (*Pool, *watcher) {
	t.Helper()
	if cfg.App == "" {
		cfg.App = "testdata/app.py"
	}
	cfg.Runtime = sdk(t)
	host := &watcher{}
	p, err := Open(context.Background(), cfg, host, quiet())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := p.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return p, host
}

// run offers until the pool takes the task.
func run(t testing.TB, p *Pool, function, args string) (*record, *Run) {
	t.Helper()
	return runTask(t, p, &Task{Function: function, Args: []byte(args)})
}

func runTask(t testing.TB, p *Pool, task *Task) (*record, *Run) {
	t.Helper()
	r := newRecord(t)
	task.Sink = r
	var run *Run
	until(t, "room for "+task.Function, func() (ok bool) {
		run, ok = p.Offer(task)
		return ok
	})
	p.Flush()
	return r, run
}

// until polls with a deadline.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(2 * time.Millisecond); !ok(); {
		select {
		case <-deadline:
			t.Fatal("never: ", what)
		case <-tick.C:
		}
	}
}

// both runs a test with a zygote and with spawned workers.
func both(t *testing.T, test func(t *testing.T, cfg Config)) {
	t.Run("zygote", func(t *testing.T) { test(t, Config{Zygote: true}) })
	t.Run("spawn", func(t *testing.T) { test(t, Config{}) })
}

func TestRun(t *testing.T) {
	both(t, func(t *testing.T, cfg Config) {
		p, host := open(t, cfg)
		if len(p.Functions()) < 10 || p.Functions()[1].Name != "add" {
			t.Fatalf("functions: %v", p.Functions())
		}
		r, _ := run(t, p, "add", `{"a":2,"b":40}`)
		if o := r.end(); o.Ending != Succeeded || string(o.Result) != "42" || o.Worker != r.worker || r.pid == 0 {
			t.Errorf("%+v", o)
		}
		r, _ = run(t, p, "fail", `{"message":"no"}`)
		if o := r.end(); o.Ending != Failed || o.Error.Type != "ValueError" || o.Error.Message != "no" || !strings.Contains(o.Error.Traceback, "app.py") {
			t.Errorf("%+v", o)
		}
		r, _ = run(t, p, "count", `{"to":3}`)
		if o := r.end(); o.Ending != Succeeded || strings.Join(r.chunks, "") != "012" {
			t.Errorf("%+v %v", o, r.chunks)
		}
		r, _ = run(t, p, "ask", `{}`)
		if o := r.end(); o.Ending != Succeeded || string(o.Result) != `"job-2"` || r.checkpoint != `{"at":1}` {
			t.Errorf("%+v %s", o, r.checkpoint)
		}
		r, _ = run(t, p, "nothing", `{}`)
		if o := r.end(); o.Ending != Failed || o.Error.Type != "HR2003" {
			t.Errorf("%+v", o)
		}
		r, _ = run(t, p, "add", `{"a":"`+strings.Repeat("x", 16<<20)+`","b":1}`)
		if o := r.end(); o.Ending != Failed || o.Error.Kind != "arguments" {
			t.Errorf("%+v", o.Error)
		}
		host.mu.Lock()
		defer host.mu.Unlock()
		if !strings.Contains(strings.Join(host.lines, "\n"), "stdout: imported") {
			t.Errorf("lines of the pool: %q", host.lines)
		}
	})
}

func TestPrintedLinesBelongToTheirTask(t *testing.T) {
	p, _ := open(t, Config{Zygote: true})
	for i := range 20 {
		r, _ := run(t, p, "speak", fmt.Sprintf(`{"words":["a%d","b"]}`, i))
		if o := r.end(); o.Ending != Succeeded {
			t.Fatalf("%+v", o)
		}
		for _, want := range []string{fmt.Sprintf("stdout: a%d", i), "stdout: b", "stdout: raw", "stderr: to stderr"} {
			if !strings.Contains(strings.Join(r.logs, "\n"), want) {
				t.Fatalf("no %q in %q", want, r.logs)
			}
		}
	}
}

func TestEnvironment(t *testing.T) {
	p, _ := open(t, Config{Env: []string{"COLOUR=blue", "PYTHONPATH=/somewhere"}, Threads: 3})
	r, _ := run(t, p, "environment", `{}`)
	var env map[string]string
	if err := json.Unmarshal(r.end().Result, &env); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{"COLOUR": "blue", "OMP_NUM_THREADS": "3", "TOKENIZERS_PARALLELISM": "false",
		"HEADRACE_WORKER": r.worker, "PYTHONPATH": sdk(t) + ":/somewhere"} {
		if env[key] != want {
			t.Errorf("%s is %q instead of %q", key, env[key], want)
		}
	}
	r, _ = run(t, p, "niceness", `{}`)
	own, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(r.end().Result), fmt.Sprint(min(19, 20-own+5)); got != want {
		t.Errorf("niceness is %s instead of %s", got, want)
	}
}

func TestTenThousandTasksEndOnce(t *testing.T) {
	p, _ := open(t, Config{Min: 2, Max: 2, Zygote: true})
	free := make(chan struct{}, 1)
	p.OnFree(func() {
		select {
		case free <- struct{}{}:
		default:
		}
	})
	const total = 10_000
	records := make([]*record, total)
	for i := range records {
		records[i] = newRecord(t)
		task := &Task{Function: "add", Args: fmt.Appendf(nil, `{"a":%d,"b":0}`, i), Sink: records[i]}
		for {
			if _, ok := p.Offer(task); ok {
				break
			}
			p.Flush()
			select {
			case <-free:
			case <-time.After(patience):
				t.Fatalf("no room after %d tasks: %+v", i, p.Status())
			}
		}
	}
	p.Flush()
	for i, r := range records {
		if o := r.end(); o.Ending != Succeeded || string(o.Result) != fmt.Sprint(i) {
			t.Fatalf("task %d: %+v", i, o)
		}
	}
}
