package control_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/control"
	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/gateway/cache"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

const app = `
import os, time
import headrace as hr

app = hr.App()

@app.job()
def noop() -> None: ...

@app.job(queue="mail", retries=0)
def send(to: str, count: int = 1) -> dict[str, int]:
    return {to: count}

@app.job(retries=0)
def hold(job: hr.Job) -> None:
    while True:
        time.sleep(0.01)

@app.job(retries=0)
def story(job: hr.Job, path: str = "") -> str:
    print("once upon a time")
    job.progress(1, 2, note="half")
    while path and not os.path.exists(path):
        time.sleep(0.005)
    job.log.warning("the end")
    return "told"

@app.job()
def chunks(n: int):
    for i in range(n):
        yield i

@app.job(retries=0)
def fails() -> None:
    raise ValueError("no")

@app.job(retries=0)
def measure(table: hr.Blob, top: int = 10) -> int:
    return table.path.stat().st_size + top

@app.job(retries=0)
def write(text: str) -> hr.Blob:
    job = hr.current_job()
    path = job.spool("out.txt") if hasattr(job, "spool") else None
    return None

@app.call()
def answer(index: int = 0) -> int:
    return index

@app.call(timeout="300ms")
def slow() -> None:
    time.sleep(30)

@app.call()
def patient(path: str) -> None:
    open(path, "w").close()
    try:
        while True:
            time.sleep(0.01)
    finally:
        os.unlink(path)

@app.call()
def wrong() -> None:
    raise ValueError("not today")

@app.call()
def refuses(status: int = 422) -> None:
    raise hr.Fail("no such order", status=status)

@app.call()
def dies() -> None:
    os._exit(9)

@app.call()
def count(n: int, fail: bool = False):
    for i in range(n):
        yield {"i": i}
    if fail:
        raise ValueError("at the end")

@app.cron("0 0 29 2 *")
def leap() -> None: ...

@app.batch(size=4, wait="5ms")
def double(value: list[int]) -> list[int]:
    return [2 * v for v in value]
`

// rig is the real server on the real planes with a real pool of Python processes.
type rig struct {
	t       testing.TB
	dir     string
	config  *config.Config
	engine  *engine.Engine
	jobs    *jobs.Jobs
	fns     *functions.Registry
	pool    *workers.Pool
	keys    *keys.Store
	cache   *cache.Store
	control *control.Server
	live    *live.Live       // nil unless it is configured
	door    *exchange.Server // of live
	url     string
	public  string // address of the public listener; "" in some rigs
}

type quiet struct{}

func (quiet) Line(string, string, []byte)           {}
func (quiet) WorkerStarted(string, int)             {}
func (quiet) WorkerDied(string, int, workers.Death) {}
func (quiet) Health(*problem.Error)                 {}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newRig(t testing.TB, change ...func(*config.Config)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), config: config.Default()}
	r.config.Engine.Data = filepath.Join(r.dir, "data")
	r.config.Admin.Listen = "127.0.0.1:0"
	r.config.Server.JSONDepth = 16
	for _, c := range change {
		c(r.config)
	}
	must(t, os.WriteFile(filepath.Join(r.dir, "app.py"), []byte(app), 0o600))
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var err error
	r.engine, err = engine.Open(ctx, engine.Config{Data: r.config.Engine.Data, Durability: engine.Durability(r.config.Engine.Durability), MinFree: -1}, log)
	must(t, err)
	r.fns = functions.NewRegistry()
	r.jobs, err = jobs.Open(ctx, r.config, r.engine, r.fns, log)
	must(t, err)
	sdk, err := filepath.Abs("../../sdk/python/src")
	must(t, err)
	r.pool, err = workers.Open(ctx, workers.Config{Name: "default", App: filepath.Join(r.dir, "app.py"), Min: 2, Max: 2, Zygote: true, Runtime: sdk,
		CancelGrace: 400 * time.Millisecond, Grace: time.Second, Spool: filepath.Join(r.dir, "data", "spool")}, quiet{}, log)
	must(t, err)
	must(t, r.fns.SetPool(r.pool))
	r.cache = cache.NewStore(config.MiB * 8)
	t.Cleanup(r.cache.Close)
	r.keys, err = keys.Open(ctx, r.engine, log)
	must(t, err)
	r.jobs.SetPool(r.pool)
	if r.config.Live != nil {
		r.openLive(ctx, log)
	}
	registry := prometheus.NewRegistry()
	r.config.Server.Listen = "127.0.0.1:0"
	public := edge.New(edge.Deps{Config: r.config, Engine: r.engine, Functions: r.fns, Jobs: r.jobs, Health: observe.NewHealth(log), Log: log})
	must(t, public.Start(ctx))
	r.public = "http://" + public.Addr().String()
	r.control = control.New(control.Deps{
		Config: r.config, Engine: r.engine, Functions: r.fns, Jobs: r.jobs, Keys: r.keys, Cache: r.cache, Live: r.live,
		Pools: func() []*workers.Pool { return []*workers.Pool{r.pool} },
		Edge:  public,
		Upstreams: control.Upstreams{Status: func() any { return []string{} }, Replace: func(_ context.Context, name string) error {
			if name != "web" {
				return problem.New("HR4024", "no service %s", name)
			}
			return nil
		}},
		Reload:  func(context.Context) (taken, kept []string, err error) { return []string{"routes"}, nil, nil },
		Metrics: registry, Health: observe.NewHealth(log), Log: log,
	})
	registry.MustRegister(r.jobs.Metrics, r.control.Traffic)
	must(t, r.control.Start(ctx))
	r.url = "http://" + r.control.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		http.DefaultClient.CloseIdleConnections()
		r.jobs.Quiesce()
		for _, stop := range []func(context.Context) error{r.control.Stop, public.Stop, r.stopLive, r.pool.Stop, r.keys.Stop, r.jobs.Stop, r.engine.Stop} {
			if err := stop(ctx); err != nil {
				t.Error(err)
			}
		}
	})
	return r
}

// answer is an answer that was read whole.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// json reads the body.
func (a answer) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%v: %v", a, err)
	}
	return v
}

// code is the code of a problem, after checking its form.
func (a answer) code(t testing.TB) string {
	t.Helper()
	if a.header.Get("Content-Type") != "application/problem+json" {
		t.Fatalf("no problem: %v %v", a, a.header)
	}
	p := a.json(t)
	code, _ := p["code"].(string)
	if p["type"] != "https://headrace.dev/errors/"+code || p["title"] == "" || p["hint"] == "" || p["detail"] == "" || p["status"] != float64(a.status) {
		t.Fatalf("problem is incomplete: %v", a)
	}
	return code
}

// do sends a request; headers are pairs.
func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	request, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, strings.NewReader(body))
	must(r.t, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(request)
	must(r.t, err)
	defer got.Body.Close()
	content, err := io.ReadAll(got.Body)
	must(r.t, err)
	return answer{got.StatusCode, got.Header, string(content)}
}

// raw sends bytes over a socket and reads one answer; half closes the sending side first.
func (r *rig) raw(request string, half bool) answer {
	r.t.Helper()
	conn, err := net.Dial("tcp", r.control.Addr().String())
	must(r.t, err)
	defer conn.Close()
	must(r.t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	_, _ = io.WriteString(conn, request) // the server may answer and close before it has read all
	if half {
		must(r.t, conn.(*net.TCPConn).CloseWrite())
	}
	got, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(r.t, err)
	defer got.Body.Close()
	content, err := io.ReadAll(got.Body)
	must(r.t, err)
	return answer{got.StatusCode, got.Header, string(content)}
}

// enqueue returns the id of a job that was accepted.
func (r *rig) enqueue(path, body string, headers ...string) string {
	r.t.Helper()
	got := r.do("POST", path, body, headers...)
	if got.status != 202 && got.status != 200 {
		r.t.Fatal(got)
	}
	return got.json(r.t)["id"].(string)
}

// until polls until done.
func until(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("in vain: " + what)
		}
	}
}
