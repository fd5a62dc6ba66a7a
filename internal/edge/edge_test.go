package edge_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

const app = `
import time
import headrace as hr

app = hr.App()

@app.job(route="POST /reports", queue="reports", retries=0)
def report(job: hr.Job, table: hr.Blob, top: int = 10, tags: list[str] = []) -> dict[str, object]:
    print("private")
    job.progress(1, 1)
    return {"size": table.size, "top": top, "tags": tags, "files": [table]}

@app.job(route="POST /hold/{n}", retries=0)
def hold(n: int) -> None:
    time.sleep(60)

@app.call(route="GET /sum/{a}")
def total(a: int, b: float = 0.5, flag: bool = False, list: list[int] = []) -> float:
    return a + b + (100 if flag else 0) + sum(list)

@app.call(route="POST /sum/{a}")
def plus(a: int, b: int) -> int:
    return a + b

@app.call(route="POST /broken")
def broken() -> None:
    raise RuntimeError("out of paper")

@app.call(route="GET /refused/{status}")
def refused(job: hr.Job, status: int) -> None:
    raise hr.Fail("there is no such paper", status=status)

@app.call()
def hello(name: str = "you") -> str:
    return "hello " + name

@app.job(route="GET /later")
def later(text: str = "") -> None: ...
`

type rig struct {
	t      testing.TB
	dir    string
	config *config.Config
	engine *engine.Engine
	jobs   *jobs.Jobs
	fns    *functions.Registry
	pool   *workers.Pool
	edge   *edge.Server
	url    string
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
	r.config.Server.Listen = "127.0.0.1:0"
	r.config.Routes = []config.Route{
		{Match: "/hello", Methods: []string{"GET", "POST"}, Call: "hello"}, {Match: "/files/*", Static: filepath.Join(r.dir, "files")},
	}
	for _, c := range change {
		c(r.config)
	}
	must(t, os.WriteFile(filepath.Join(r.dir, "app.py"), []byte(app), 0o600))
	must(t, os.MkdirAll(filepath.Join(r.dir, "files", "docs"), 0o700))
	must(t, os.MkdirAll(filepath.Join(r.dir, "files", "bare"), 0o700))
	for name, text := range map[string]string{"files/a.txt": "hello", "files/docs/index.html": "<p>docs", "files/.env": "secret", "secret.txt": "secret", "files/a b.txt": "space"} {
		must(t, os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600))
	}
	must(t, os.WriteFile(filepath.Join(r.dir, "files/large.bin"), bytes.Repeat([]byte("0123456789"), 20_000), 0o600))
	must(t, os.Symlink("../secret.txt", filepath.Join(r.dir, "files", "link.txt")))
	r.open()
	t.Cleanup(r.close)
	return r
}

func (r *rig) open() {
	t := r.t
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError}))
	var err error
	r.engine, err = engine.Open(ctx, engine.Config{Data: r.config.Engine.Data, MinFree: -1}, log)
	must(t, err)
	r.fns = functions.NewRegistry()
	r.jobs, err = jobs.Open(ctx, r.config, r.engine, r.fns, log)
	must(t, err)
	r.edge = edge.New(edge.Deps{Config: r.config, Engine: r.engine, Functions: r.fns, Jobs: r.jobs, Health: observe.NewHealth(log), Log: log})
	sdk, err := filepath.Abs("../../sdk/python/src")
	must(t, err)
	r.pool, err = workers.Open(ctx, workers.Config{Name: "default", App: filepath.Join(r.dir, "app.py"), Min: 2, Max: 2, Zygote: true, Runtime: sdk,
		CancelGrace: 400 * time.Millisecond, Grace: time.Second, Spool: filepath.Join(r.dir, "data", "spool")}, quiet{}, log)
	must(t, err)
	must(t, r.fns.SetPool(r.pool))
	r.jobs.SetPool(r.pool)
	must(t, r.edge.Start(ctx))
	r.url = "http://" + r.edge.Addr().String()
}

func (r *rig) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	http.DefaultClient.CloseIdleConnections()
	r.jobs.Quiesce()
	for _, stop := range []func(context.Context) error{r.edge.Stop, r.pool.Stop, r.jobs.Stop, r.engine.Stop} {
		if err := stop(ctx); err != nil {
			r.t.Error(err)
		}
	}
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string { return fmt.Sprintf("%d %s", a.status, a.body) }

// short is the body, or the code of a problem.
func (a answer) short() string {
	if a.header.Get("Content-Type") != "application/problem+json" {
		return a.String()
	}
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &p)
	return fmt.Sprint(a.status, " ", p.Code)
}

func (r *rig) send(request *http.Request) answer {
	r.t.Helper()
	got, err := http.DefaultTransport.RoundTrip(request) // follows no redirect
	must(r.t, err)
	defer got.Body.Close()
	content, err := io.ReadAll(got.Body)
	must(r.t, err)
	return answer{got.StatusCode, got.Header, string(content)}
}

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
	return r.send(request)
}

func (r *rig) json(a answer) map[string]any {
	r.t.Helper()
	var v map[string]any
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		r.t.Fatal(a, err)
	}
	return v
}

func TestCallRoutes(t *testing.T) {
	r := newRig(t)
	for ask, want := range map[string]string{
		"GET /sum/2": "200 2.5", "GET /sum/2?b=1.25&flag=true&list=1&list=2": "200 106.25", "GET /sum/2?list=[5]": "200 7.5", "GET /sum/x": "422 HR2002",
		"GET /sum/2?c=1": "422 HR2002", "GET /sum/2?a=3": "422 HR2002", `POST /sum/2 {"b":3}`: "200 5", `POST /sum/2  { "b" : 3 } `: "200 5", `POST /sum/2 {"a":1,"b":3}`: "422 HR2002", `POST /sum/2 {}`: "422 HR2002",
		"GET /hello?name=Ann%20B": `200 "hello Ann B"`, `POST /hello {"name":"Bob"}`: `200 "hello Bob"`, "POST /hello [": "400 HR2001", "DELETE /hello": "405 HR1002", "GET /nothing": "404 HR1001",
		"GET /v1/jobs": "404 HR1001", "GET /metrics": "404 HR1001",
	} {
		method, rest, _ := strings.Cut(ask, " ")
		path, body, _ := strings.Cut(rest, " ")
		if got := r.do(method, path, body); got.short() != want {
			t.Errorf("%s: %v, want %s", ask, got, want)
		}
	}
	if got := r.do("DELETE", "/hello", ""); got.header.Get("Allow") != "GET, POST" {
		t.Error(got.header)
	}
}

const form = "--b\r\nContent-Disposition: form-data; name=\"top\"\r\n\r\n5\r\n" +
	"--b\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"tags\"\r\n\r\n7\r\n" +
	"--b\r\nContent-Disposition: form-data; name=\"table\"; filename=\"t.csv\"\r\nContent-Type: text/csv\r\n\r\nhello\r\n--b--\r\n"

// From a form to the file in the result, with nothing but the links of the answers.
func TestJobRoute(t *testing.T) {
	r := newRig(t)
	got := r.do("POST", "/reports", form, "Content-Type", "multipart/form-data; boundary=b")
	if got.status != 202 {
		t.Fatal(got)
	}
	accepted := r.json(got)
	follow := accepted["follow"].(string)
	events := r.do("GET", follow, "")
	if events.status != 200 || !strings.Contains(events.body, `"state":"succeeded"`) || !strings.Contains(events.body, "event: progress\n") || strings.Contains(events.body, "private") {
		t.Fatal(events)
	}
	links := accepted["links"].(map[string]any)
	result := r.json(r.do("GET", links["result"].(string), ""))
	if result["size"] != 5.0 || result["top"] != 5.0 || fmt.Sprint(result["tags"]) != "[x 7]" {
		t.Error(result)
	}
	file := result["files"].([]any)[0].(map[string]any)
	href := file["href"].(string)
	if got := r.do("GET", href, ""); got.String() != "200 hello" || got.header.Get("Content-Type") != "text/csv" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Error(got, got.header)
	}
	if got := r.do("GET", href+"&download", "", "Range", "bytes=1-2"); got.String() != "206 el" || !strings.Contains(got.header.Get("Content-Disposition"), "t.csv") {
		t.Error(got, got.header)
	}
	self := r.json(r.do("GET", links["self"].(string), ""))
	if self["state"] != "succeeded" || self["queue"] != nil || self["worker"] != nil {
		t.Error(self)
	}
	if got := r.do("POST", links["cancel"].(string), ""); got.short() != "409 HR2008" {
		t.Error(got)
	}
	// A blob that is there but not in the result.
	other, err := r.engine.Blobs().Put(t.Context(), strings.NewReader("other"), blob.Meta{}, 0)
	must(t, err)
	if got := r.do("GET", strings.Replace(href, file["$blob"].(string), string(other.Digest), 1), ""); got.short() != "404 HR5006" {
		t.Error(got)
	}
	if got := r.do("GET", "/later?text=x", ""); got.status != 202 {
		t.Error(got)
	}
	again := r.do("GET", "/later?text=x", "", "Idempotency-Key", "k")
	if got := r.do("GET", "/later?text=x", "", "Idempotency-Key", "k"); r.json(got)["id"] != r.json(again)["id"] || r.json(got)["duplicate"] != true {
		t.Error(got)
	}
	if got := r.do("GET", "/later?text=y", "", "Idempotency-Key", "k"); got.short() != "409 HR2005" {
		t.Error(got)
	}
}

func TestFollowTokens(t *testing.T) {
	r := newRig(t)
	first, second := r.json(r.do("POST", "/hold/1", "")), r.json(r.do("POST", "/hold/2", ""))
	page := "/jobs/" + first["id"].(string)
	_, token, _ := strings.Cut(first["follow"].(string), "token=")
	_, others, _ := strings.Cut(second["follow"].(string), "token=")
	for _, tail := range []string{"", "/events", "/result", "/files/sha256:" + strings.Repeat("0", 64)} {
		for query, want := range map[string]string{"": "401 HR1005", "?token=": "401 HR1005", "?token=" + others: "403 HR1006", "?token=" + token[1:]: "403 HR1006", "?token=" + token + "A": "403 HR1006", "?token=%00": "403 HR1006"} {
			if got := r.do("GET", page+tail+query, ""); got.short() != want {
				t.Errorf("%s%s: %v", tail, query, got)
			}
		}
	}
	if got := r.do("POST", page+"/cancel", ""); got.short() != "401 HR1005" {
		t.Error(got)
	}
	if got := r.do("GET", "/jobs/x?token="+token, ""); got.short() != "403 HR1006" {
		t.Error(got)
	}
	if got := r.do("GET", page, "", "Authorization", "Bearer "+token); got.status != 200 {
		t.Error(got)
	}
	info, err := os.Stat(filepath.Join(r.config.Engine.Data, "follow.key"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info, err)
	}
	// A token outlives a restart.
	r.close()
	r.open()
	if got := r.do("POST", page+"/cancel?token="+token, ""); got.status != 200 {
		t.Error(got)
	}
	if got := r.do("POST", "/jobs/"+second["id"].(string)+"/cancel?token="+others, ""); got.status != 200 {
		t.Error(got)
	}
}

func TestFollowTokenExpires(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.Server.FollowTTL = 0 })
	accepted := r.json(r.do("GET", "/later", ""))
	if got := r.do("GET", accepted["links"].(map[string]any)["self"].(string), ""); got.short() != "403 HR1006" || !strings.Contains(got.body, "expired") {
		t.Error(got)
	}
}

func TestStatic(t *testing.T) {
	r := newRig(t)
	for range 2 { // from the disk, from memory
		for ask, want := range map[string]string{
			"GET /files/a.txt": "200 hello", "HEAD /files/a.txt": "200 ", "GET /files/a%20b.txt": "200 space", "GET /files/docs/": "200 <p>docs", "GET /files/docs": "301 ", "GET /files//docs": "301 ",
			"GET /files/": "404 HR1014", "GET /files/bare/": "404 HR1014", "GET /files/bare": "404 HR1014", "GET /files/none": "404 HR1014", "GET /files/.env": "404 HR1014", "GET /files/link.txt": "404 HR1014",
			"GET /files/../secret.txt": "404 HR1001", "GET /files/%2e%2e/secret.txt": "404 HR1001", "GET /files/..%2fsecret.txt": "404 HR1001", "GET /files/docs/..%2f..%2f..%2fsecret.txt": "404 HR1001",
			"GET /files/a.txt%00": "404 HR1014", "GET /files/..%5csecret.txt": "404 HR1014", "POST /files/a.txt": "405 HR1002", "GET /files": "404 HR1001",
		} {
			method, path, _ := strings.Cut(ask, " ")
			request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
			must(t, err)
			if got := r.send(request); got.short() != want {
				t.Errorf("%s: %v, want %s", ask, got, want)
			} else if got.status == 301 && got.header.Get("Location") != "/files/docs/" {
				t.Error(ask, got.header)
			}
		}
	}
	got := r.do("GET", "/files/a.txt", "")
	tag, at := got.header.Get("ETag"), got.header.Get("Last-Modified")
	if tag == "" || at == "" || got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Fatal(got.header)
	}
	for name, value := range map[string]string{"If-None-Match": tag, "If-Modified-Since": at} {
		if got := r.do("GET", "/files/a.txt", "", name, value); got.status != 304 || got.body != "" {
			t.Error(name, got)
		}
	}
	if got := r.do("GET", "/files/a.txt", "", "Range", "bytes=1-2"); got.String() != "206 el" {
		t.Error(got)
	}
	if got := r.do("GET", "/files/large.bin", "", "Range", "bytes=199995-"); got.String() != "206 56789" {
		t.Error(got)
	}
	if got := r.do("GET", "/files/large.bin", ""); len(got.body) != 200_000 {
		t.Error(len(got.body))
	}
	must(t, os.WriteFile(filepath.Join(r.dir, "files", "a.txt"), []byte("changed"), 0o600))
	deadline := time.After(30 * time.Second)
	for r.do("GET", "/files/a.txt", "").body != "changed" {
		select {
		case <-deadline:
			t.Fatal("a change is not seen")
		default:
		}
	}
}

// Of a folder with a fallback, what is not there is the fallback, and what must not be seen is not there.
func TestStaticFallback(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		folder := c.Routes[1].Static
		c.Routes = append(c.Routes, config.Route{Match: "/app/*", Static: folder, Fallback: "docs/index.html"}, config.Route{Match: "/big/*", Static: folder, Fallback: "large.bin"})
	})
	for range 2 { // from the disk, from memory
		for ask, want := range map[string]string{
			"GET /app/a.txt": "200 hello", "GET /app/": "200 <p>docs", "GET /app/orders/7": "200 <p>docs", "HEAD /app/orders/7": "200 ", "GET /app/orders/": "200 <p>docs", "GET /app/bare": "200 <p>docs",
			"GET /app/bare/": "200 <p>docs", "GET /app/a.txt/x": "200 <p>docs", "GET /app/J%C3%B6rg%20M": "200 <p>docs", "GET /app/a?next=../b%2f": "200 <p>docs", "GET /app/v1.2": "200 <p>docs", "GET /app/docs": "301 ",
			"POST /app/orders/7": "405 HR1002", "GET /files/orders/7": "404 HR1014", "GET /app": "404 HR1001",
			"GET /app/.env": "404 HR1014", "GET /app/.git/config": "404 HR1014", "GET /app/x/.env": "404 HR1014", "GET /app/link.txt": "404 HR1014",
			"GET /app/../secret.txt": "404 HR1001", "GET /app/%2e%2e/secret.txt": "404 HR1001", "GET /app/x/../y": "404 HR1014", "GET /app/x/%2e%2E/y": "404 HR1014", "GET /app/x/./y": "404 HR1014",
			"GET /app/x%2f..%2fy": "404 HR1014", "GET /app/x%2Fy": "404 HR1014", "GET /app/x%5c..%5csecret.txt": "404 HR1014", "GET /app/x%00": "404 HR1014", "GET /app/x%0a": "404 HR1014",
			"GET /app/%252e%252e%252fsecret.txt": "404 HR1014", "GET /app/.../x": "404 HR1014", "GET /app/x/..;v=1/y": "404 HR1014", "GET /app/x;v=1/y": "200 <p>docs", "GET /app/x/..%20/y": "404 HR1014", "GET /app/" + strings.Repeat("x", 300): "404 HR1014",
		} {
			method, path, _ := strings.Cut(ask, " ")
			request, err := http.NewRequestWithContext(t.Context(), method, r.url+path, nil)
			must(t, err)
			if got := r.send(request); got.short() != want {
				t.Errorf("%s: %v, want %s", ask, got, want)
			}
		}
	}
	got := r.do("GET", "/app/orders/7", "")
	tag, at := got.header.Get("ETag"), got.header.Get("Last-Modified")
	if tag == "" || at == "" || got.header.Get("Cache-Control") != "no-cache" || !strings.HasPrefix(got.header.Get("Content-Type"), "text/html") {
		t.Fatal(got.header)
	}
	for name, value := range map[string]string{"If-None-Match": tag, "If-Modified-Since": at} {
		if got := r.do("GET", "/app/orders/8", "", name, value); got.status != 304 || got.body != "" {
			t.Error(name, got)
		}
	}
	if got := r.do("GET", "/app/orders/7", "", "Range", "bytes=1-2"); got.String() != "206 p>" {
		t.Error(got)
	}
	if got := r.do("GET", "/app/orders/7", "", "Range", "bytes=900-"); got.short() != "416 HR1013" {
		t.Error(got)
	}
	if got := r.do("GET", "/big/x", "", "Range", "bytes=199995-"); got.String() != "206 56789" || got.header.Get("Cache-Control") != "no-cache" {
		t.Error(got)
	}
	if got := r.do("GET", "/big/x", ""); len(got.body) != 200_000 {
		t.Error(len(got.body))
	}
	must(t, os.Remove(filepath.Join(r.dir, "files", "docs", "index.html")))
	deadline := time.After(30 * time.Second)
	for r.do("GET", "/app/orders/7", "").short() != "404 HR1014" {
		select {
		case <-deadline:
			t.Fatal("the fallback is gone, and still served")
		default:
		}
	}
}

// A fallback must be there, also for headrace check.
func TestStaticFallbackMissing(t *testing.T) {
	dir := t.TempDir()
	for _, fallback := range []string{"index.html", "docs"} {
		must(t, os.MkdirAll(filepath.Join(dir, "docs"), 0o700))
		c := config.Default()
		c.Routes = []config.Route{{Match: "/*", Static: dir, Fallback: fallback}}
		if _, wrong := edge.Check(c, nil, slog.New(slog.DiscardHandler)); len(wrong) != 1 || wrong[0].Code != "HR9003" || !strings.Contains(wrong[0].Error(), "no file "+fallback) {
			t.Error(wrong)
		}
	}
}

func TestQueueFull(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		q := *c.Queues[config.DefaultQueue]
		q.MaxPending = 0
		c.Queues["reports"] = &q
	})
	// Long enough that the server would have to wait for it; only the first byte is sent before the answer.
	body := &slowBody{first: []byte("-"), rest: make(chan struct{})}
	defer close(body.rest)
	request, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/reports", body)
	must(t, err)
	request.ContentLength = 100 << 20
	request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	r.jobs.Queues() // makes the queue known
	if got := r.send(request); got.short() != "503 HR2006" || got.header.Get("Retry-After") == "" {
		t.Error(got)
	}
}

type slowBody struct {
	first []byte
	rest  chan struct{}
}

func (b *slowBody) Read(p []byte) (int, error) {
	if len(b.first) == 0 {
		<-b.rest
		return 0, io.EOF
	}
	n := copy(p, b.first)
	b.first = b.first[n:]
	return n, nil
}

func TestConflicts(t *testing.T) {
	r := newRig(t)
	start := func(routes ...config.Route) *problem.Error {
		c := *r.config
		c.Routes = routes
		s := edge.New(edge.Deps{Config: &c, Engine: r.engine, Functions: r.fns, Jobs: r.jobs, Health: observe.NewHealth(slog.Default()), Log: slog.Default()})
		defer s.Stop(t.Context())
		var p *problem.Error
		if err := s.Start(t.Context()); !errors.As(err, &p) {
			t.Fatalf("%+v: %v", routes, err)
		}
		return p
	}
	if p := start(config.Route{Match: "/reports", Job: "report"}); p.Code != "HR9003" || !strings.Contains(p.What, "routes[0]") || !strings.Contains(p.What, "function report of pool default") {
		t.Error(p)
	}
	for _, route := range []config.Route{
		{Match: "/jobs/{x}", Methods: []string{"GET"}, Call: "hello"}, {Match: "/x/{y}", Call: "hello"}, {Match: "/x", Call: "later"}, {Match: "/x", Job: "hello"}, {Match: "/s/*", Static: filepath.Join(r.dir, "none")},
	} {
		if p := start(route); p.Code != "HR9003" || p.Where == "" {
			t.Error(p)
		}
	}
	c := *r.config
	c.Server.Listen = r.edge.Addr().String()
	s := edge.New(edge.Deps{Config: &c, Engine: r.engine, Functions: r.fns, Jobs: r.jobs, Health: observe.NewHealth(slog.Default()), Log: slog.Default()})
	defer s.Stop(t.Context())
	if err := s.Start(t.Context()); problem.From(err).Code != "HR9004" {
		t.Error(err)
	}
}

// An app that was changed has its new routes at once, and none of the old ones.
func TestReload(t *testing.T) {
	r := newRig(t)
	must(t, os.WriteFile(filepath.Join(r.dir, "app.py"), []byte(strings.Replace(app, "GET /sum/{a}", "GET /total/{a}", 1)), 0o600))
	must(t, r.pool.Reload(t.Context()))
	must(t, r.fns.SetPool(r.pool))
	if got := r.do("GET", "/total/2", ""); got.String() != "200 2.5" {
		t.Error(got)
	}
	if got := r.do("GET", "/sum/2", ""); got.short() != "405 HR1002" { // POST /sum/{a} is still there
		t.Error(got)
	}
}

// 100 MiB go to the disk in constant memory.
func TestUploadMemory(t *testing.T) {
	r := newRig(t)
	const size = 100 << 20
	before := allocated()
	head := "--b\r\nContent-Disposition: form-data; name=\"table\"; filename=\"t.csv\"\r\n\r\n"
	tail := "\r\n--b--\r\n"
	request, err := http.NewRequestWithContext(t.Context(), "POST", r.url+"/reports", io.MultiReader(strings.NewReader(head), io.LimitReader(zeros{}, size), strings.NewReader(tail)))
	must(t, err)
	request.ContentLength = int64(len(head) + size + len(tail))
	request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	got := r.send(request)
	if got.status != 202 {
		t.Fatal(got)
	}
	if grown := allocated() - before; grown > 16<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
	if events := r.do("GET", r.json(got)["follow"].(string), ""); !strings.Contains(events.body, "succeeded") {
		t.Error(events)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func allocated() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

func BenchmarkStatic(b *testing.B) {
	r := newRig(b)
	b.ResetTimer()
	for b.Loop() {
		if got := r.do("GET", "/files/a.txt", ""); got.status != 200 {
			b.Fatal(got)
		}
	}
}

// hr.Fail is an answer: the function chooses its status and its words, and its code is nobody's business.
func TestRefusalsOfFunctions(t *testing.T) {
	r := newRig(t)
	for _, status := range []int{404, 409, 422, 503} {
		got := r.do("GET", fmt.Sprint("/refused/", status), "")
		told := r.json(got)
		if got.short() != fmt.Sprint(status, " HR2020") || got.header.Get("Content-Type") != "application/problem+json" || told["status"] != float64(status) ||
			told["detail"] != "there is no such paper" || told["title"] != "function refused the call" || told["where"] != "refused" {
			t.Error(got)
		}
	}
	if got := r.do("GET", "/refused/302", ""); got.short() != "500 HR2015" {
		t.Error(got)
	}
}

// Anybody may call here: what a function raised is told, where in its code is not.
func TestTracebacksStayInside(t *testing.T) {
	r := newRig(t)
	got := r.do("POST", "/broken", "{}")
	if got.short() != "500 HR2015" || strings.Contains(string(got.body), "out of paper") || strings.Contains(string(got.body), "line ") {
		t.Errorf("%s %s", got.short(), got.body)
	}
}

// What is no request is told to those who follow, and to the access log of the server.
func TestBrokenRequestIsTold(t *testing.T) {
	var file string
	r := newRig(t, func(c *config.Config) {
		file = filepath.Join(c.Engine.Data, "..", "access.log")
		c.Log.Access, c.Log.AccessFile = &config.Access{Sample: 1}, file
	})
	follower := r.edge.Follow(1)
	defer follower.Close()
	conn, err := net.Dial("tcp", r.edge.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, "nonsense\r\n\r\n")
	must(t, err)
	select {
	case line := <-follower.Lines:
		if !strings.Contains(string(line), `"code":"HR1011"`) {
			t.Error(string(line))
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody is told")
	}
	for begun := time.Now(); ; runtime.Gosched() {
		if text, _ := os.ReadFile(file); strings.Contains(string(text), `"route":"none","status":400,"code":"HR1011"`) {
			break
		} else if time.Since(begun) > 20*time.Second {
			t.Fatalf("%s", text)
		}
	}
}
