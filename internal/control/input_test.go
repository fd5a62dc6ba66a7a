package control_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
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
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Everything that is wrong is answered with a problem, over a real socket, and leaves nothing behind.
func TestBadInput(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		c.Server.MaxJSON, c.Admin.MaxBody, c.Jobs.MaxJobsPerRequest = 100_000, 200_000, 3
		c.Server.HeaderTimeout, c.Server.IdleTimeout = 500*time.Millisecond, 500*time.Millisecond
	})
	head := func(method, path string, length int, more ...string) string {
		return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n", method, path, length, strings.Join(more, ""))
	}
	post := func(path, body string, more ...string) string { return head("POST", path, len(body), more...) + body }
	const send, many, chunked = "/v1/jobs/send", "/v1/jobs", "POST /v1/jobs/noop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
	deep := strings.Repeat(`{"a":`, 17) + "1" + strings.Repeat("}", 17)
	for name, c := range map[string]struct {
		request string
		half    bool // close the sending side after the request
		code    string
		where   string
	}{
		"malformed":               {post(send, "{\"to\":\n nope}"), false, "HR2001", "byte 8, 2:2"},
		"trailing garbage":        {post(send, `{"to":"x"} {}`), false, "HR2001", "byte 11, 1:12"},
		"not UTF-8":               {post(send, "{\"to\":\"\xff\"}"), false, "HR2001", "byte 7, 1:8"},
		"key twice":               {post(send, `{"to":"x","to":"y"}`), false, "HR2001", "byte 10, 1:11"},
		"key twice in a batch":    {post(many, `[{"function":"send","args":{"to":"x","to":"y"}}]`), false, "HR2001", "byte 37, 1:38"},
		"too deep":                {post(send, deep), false, "HR2010", "byte 80, 1:81"},
		"too deep in a batch":     {post(many, `[{"function":"noop","args":`+deep+`}]`), false, "HR2010", ""},
		"not an object":           {post(send, `[]`), false, "HR2002", "/args"},
		"not an array":            {post(many, `{}`), false, "HR2001", "byte 0, 1:1"},
		"wrong type":              {post(send, `{"to":1}`), false, "HR2002", "/args/to"},
		"missing argument":        {post(send, `{}`), false, "HR2002", "/args"},
		"unknown function":        {post("/v1/jobs/nope", `{}`), false, "HR2003", "nope"},
		"a call":                  {post("/v1/jobs/answer", `{}`), false, "HR2011", "answer"},
		"call of a job":           {post("/v1/calls/send", `{}`), false, "HR2011", "send"},
		"unknown option":          {post(send+"?colour=red", `{"to":"x"}`), false, "HR2004", "colour"},
		"unknown option header":   {post(send, `{"to":"x"}`, "Headrace-Colour: red\r\n"), false, "HR2004", "colour"},
		"malformed option":        {post(send+"?delay=soon", `{"to":"x"}`), false, "HR2004", "delay"},
		"malformed wait":          {post(send+"?wait=10", `{"to":"x"}`), false, "HR2004", "wait"},
		"limit of no runs":        {post(send+"?key=a&key_limit=0", `{"to":"x"}`), false, "HR2004", "key_limit"},
		"no time to run":          {post(send+"?timeout=0s", `{"to":"x"}`), false, "HR2004", "timeout"},
		"expired at once":         {post(send+"?expires=0s", `{"to":"x"}`), false, "HR2004", "expires"},
		"no time":                 {post(send+"?run_at=tomorrow", `{"to":"x"}`), false, "HR2004", "run_at"},
		"two starts":              {post(send+"?delay=1s&run_at=2031-01-01T00:00:00Z", `{"to":"x"}`), false, "HR2004", "delay"},
		"option twice":            {post(send+"?retries=1", `{"to":"x"}`, "Headrace-Retries: 2\r\n"), false, "HR2004", "retries"},
		"queue in no path":        {post(send+"?queue=a/b", `{"to":"x"}`), false, "HR2004", "queue"},
		"queue without a name":    {post(send+"?queue=", `{"to":"x"}`), false, "HR2004", "queue"},
		"unknown call option":     {post("/v1/calls/answer?delay=1s", `{}`), false, "HR2004", "delay"},
		"wrong media type":        {post(send, `to=x`, "Content-Type: text/plain\r\n"), false, "HR1008", ""},
		"compressed":              {post(send, `{}`, "Content-Encoding: gzip\r\n"), false, "HR1008", ""},
		"too many jobs":           {post(many, `[{"function":"noop"},{"function":"noop"},{"function":"noop"},{"function":"noop"}]`), false, "HR1003", ""},
		"announced too large":     {head("POST", send, 100_001) + "{", false, "HR1003", ""}, // no more than this of the body is sent
		"blob too large":          {head("PUT", "/v1/blobs", 200_001) + "x", false, "HR1003", ""},
		"chunked too large":       {strings.Replace(chunked, "noop", "send", 1) + strings.Repeat("4000\r\n"+strings.Repeat(" ", 0x4000)+"\r\n", 8), false, "HR1003", ""},
		"cut":                     {head("POST", send, 50) + `{"to":`, true, "HR1004", ""},
		"cut when long":           {head("POST", send, 50_000) + strings.Repeat(" ", 20_000), true, "HR1004", ""},
		"cut in a chunk":          {chunked + "10\r\n{", true, "HR1004", ""},
		"cut upload":              {head("PUT", "/v1/blobs", 100_000) + strings.Repeat("x", 50_000), true, "HR1004", ""},
		"stalled":                 {head("POST", send, 50) + `{"to":`, false, "HR1010", ""},
		"stalled when long":       {head("PUT", "/v1/blobs", 100_000) + strings.Repeat("x", 50_000), false, "HR1010", ""},
		"body longer than length": {head("POST", send, 2) + `{}{"to":"x"}`, false, "HR2002", "/args"},
		"two lengths":             {"POST " + send + " HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", false, "HR1011", ""},
		"no HTTP":                 {"hello\r\n\r\n", false, "HR1011", ""},
		"head too large":          {"GET /healthz HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("x", 20_000) + "\r\n\r\n", false, "HR1009", ""},
		"form without boundary":   {post(send, "x", "Content-Type: multipart/form-data\r\n"), false, "HR1007", ""},
		"form cut":                {post(send, "--b\r\nContent-Disposition: form-data; name=\"to\"\r\n\r\nx", "Content-Type: multipart/form-data; boundary=b\r\n"), false, "HR1007", ""},
		"file for no blob":        {post(send, "--b\r\nContent-Disposition: form-data; name=\"to\"; filename=\"x\"\r\n\r\nx\r\n--b--\r\n", "Content-Type: multipart/form-data; boundary=b\r\n"), false, "HR2002", "/args/to"},
		"unknown blob":            {post("/v1/jobs/measure", `{"table":{"$blob":"sha256:`+strings.Repeat("0", 64)+`"}}`), false, "HR5006", "/args/table"},
		"wrong digest":            {head("PUT", "/v1/blobs?digest=sha256:"+strings.Repeat("0", 64), 1) + "x", false, "HR5007", ""},
		"bad range of events":     {"GET /v1/jobs/01ARZ3NDEKTSV4RRFFQ69G5FAV/events HTTP/1.1\r\nHost: x\r\n\r\n", false, "HR2007", ""},
	} {
		got := r.raw(c.request, c.half)
		if code := got.code(t); code != c.code {
			t.Errorf("%s: %v, want %s", name, got, c.code)
		} else if where, _ := got.json(t)["where"].(string); c.where != "" && where != c.where {
			t.Errorf("%s: at %q, want %q", name, where, c.where)
		}
	}
	for _, q := range r.jobs.Queues() {
		if q.Ready+q.Running+q.Scheduled+q.Waiting+q.Succeeded+q.Dead > 0 {
			t.Errorf("a job was stored: %+v", q)
		}
	}
	left, err := filepath.Glob(filepath.Join(r.config.Engine.Data, "blobs", "*", "*"))
	if err != nil || len(left) > 0 {
		t.Error("a blob was stored:", left, err)
	}
	if got := r.raw(head("POST", "/v1/jobs/noop", 0), false); got.status != 202 || got.header.Get("Server") != "" {
		t.Error("and then a good one:", got, got.header)
	}
}

// A body that is too large is told which key of the configuration limits it.
func TestHintsOfLargeBodies(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.Server.MaxJSON, c.Admin.MaxBody = 100_000, 200_000 })
	for _, c := range []struct{ method, path, media, hint string }{
		{"POST", "/v1/jobs/send", "application/json", "server.max_json"}, {"POST", "/v1/jobs", "application/json", "server.max_json"},
		{"POST", "/v1/calls/answer", "application/json", "server.max_json"}, {"PUT", "/v1/blobs", "text/csv", "admin.max_body"},
		{"POST", "/v1/jobs/measure", "multipart/form-data; boundary=b", "admin.max_body"}, {"GET", "/v1/jobs", "text/csv", "needs no body"},
	} {
		got := r.raw(fmt.Sprintf("%s %s HTTP/1.1\r\nHost: x\r\nContent-Type: %s\r\nContent-Length: 300000\r\n\r\nx", c.method, c.path, c.media), false)
		if hint, _ := got.json(t)["hint"].(string); got.code(t) != "HR1003" || !strings.Contains(hint, c.hint) {
			t.Errorf("%s %s: %v", c.method, c.path, got)
		}
	}
}

func TestQueueFullBeforeBody(t *testing.T) {
	r := newRig(t, func(c *config.Config) {
		q := *c.Queues[config.DefaultQueue]
		q.MaxPending = 1
		c.Queues["mail"] = &q
	})
	r.do("POST", "/v1/jobs/send?delay=1h", `{"to":"x"}`)
	long := "POST /v1/jobs/send HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
	for name, request := range map[string]string{"nothing sent": long + "\r\n{", "100-continue": long + "Expect: 100-continue\r\n\r\n"} {
		if got := r.raw(request, false); got.code(t) != "HR2006" || got.header.Get("Retry-After") == "" {
			t.Error(name, got)
		}
	}
	if got := r.raw("POST /v1/jobs/noop HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n{}", false); got.status != 100 {
		t.Error(got)
	}
}

func TestToken(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	must(t, os.WriteFile(path, []byte("secret\n"), 0o600))
	r := newRig(t, func(c *config.Config) { c.Admin.TokenFile = path })
	for header, want := range map[string]int{"": 401, "Bearer": 401, "Bearer secre": 401, "Bearer secret2": 401, "Basic secret": 401, "Bearer secret": 200} {
		if got := r.do("GET", "/v1/jobs", "", "Authorization", header); got.status != want {
			t.Errorf("%q: %v", header, got)
		}
	}
	if got := r.do("GET", "/healthz", ""); got.status != 200 {
		t.Error(got)
	}
	if got := r.do("POST", "/v1/jobs/noop", "{}", "Authorization", "Bearer secret", "Origin", "http://elsewhere.example"); got.status != 202 {
		t.Error(got)
	}
}

func TestOrigin(t *testing.T) {
	r := newRig(t)
	for origin, want := range map[string]int{"http://elsewhere.example": 403, "null": 403, "http://localhost:3000": 202, "http://127.0.0.1": 202} {
		if got := r.do("POST", "/v1/jobs/noop", "{}", "Origin", origin); got.status != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
}

func TestStart(t *testing.T) {
	r := newRig(t)
	start := func(change func(*config.Config)) *problem.Error {
		c := *r.config
		change(&c)
		s := control.New(control.Deps{Config: &c, Engine: r.engine, Functions: r.fns, Jobs: r.jobs, Metrics: prometheus.NewRegistry(),
			Health: observe.NewHealth(slog.Default()), Log: slog.Default()})
		defer s.Stop(t.Context())
		var p *problem.Error
		if err := s.Start(t.Context()); !errors.As(err, &p) {
			t.Fatal(err)
		}
		return p
	}
	if p := start(func(c *config.Config) { c.Admin.Listen = r.control.Addr().String() }); p.Code != "HR9004" || !strings.Contains(p.What, r.control.Addr().String()) {
		t.Error(p)
	}
	if p := start(func(c *config.Config) { c.Admin.TokenFile = filepath.Join(r.dir, "nothing") }); p.Code != "HR9005" {
		t.Error(p)
	}
}

// Stop is bounded although a client holds a connection and sends nothing more.
func TestStopIsBounded(t *testing.T) {
	r := newRig(t)
	conn, err := net.Dial("tcp", r.control.Addr().String())
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("PUT /v1/blobs HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nx"))
	must(t, err)
	until(t, "upload began", func() bool {
		list, _ := filepath.Glob(filepath.Join(r.config.Engine.Data, "blobs", ".tmp", "*"))
		return len(list) == 1
	})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if err := r.control.Stop(ctx); err == nil || time.Since(began) > 5*time.Second {
		t.Error(err, time.Since(began))
	}
	until(t, "the rest of the upload is gone", func() bool {
		list, _ := filepath.Glob(filepath.Join(r.config.Engine.Data, "blobs", ".tmp", "*"))
		return len(list) == 0
	})
}

func TestIdempotency(t *testing.T) {
	r := newRig(t)
	first := r.do("POST", "/v1/jobs/send?tags=a&delay=1h", `{"to":"x","count":2}`, "Idempotency-Key", "k")
	again := r.do("POST", "/v1/jobs/send?delay=1h&tags=a", `{ "count":2,"to":"x" }`, "Idempotency-Key", "k")
	if id := first.json(t)["id"]; again.json(t)["id"] != id || again.json(t)["duplicate"] != true || again.status != 202 {
		t.Error(first, again)
	}
	for name, other := range map[string]answer{
		"body":   r.do("POST", "/v1/jobs/send?tags=a&delay=1h", `{"to":"x","count":3}`, "Idempotency-Key", "k"),
		"option": r.do("POST", "/v1/jobs/send?tags=b&delay=1h", `{"to":"x","count":2}`, "Idempotency-Key", "k"),
	} {
		if other.status != 409 || other.code(t) != "HR2005" {
			t.Error(name, other)
		}
	}
	if got := r.do("POST", "/v1/jobs/noop", `{}`, "Idempotency-Key", "k"); got.status != 202 || got.json(t)["duplicate"] != nil {
		t.Error("the key of another function:", got)
	}
}

func TestMany(t *testing.T) {
	r := newRig(t)
	got := r.do("POST", "/v1/jobs", `[
		{"function":"noop","ref":"c","after":["@a","@b"]},
		{"function":"noop","ref":"a","options":{"delay":"1h"}},
		{"function":"send","ref":"b","args":{"to":"x"},"options":{"delay":3600,"tags":["t"]},"idempotency_key":"i"},
		{"function":"send","args":{"to":1}},
		{"function":"noop","ref":"x","after":["@y"]},
		{"function":"noop","ref":"y","after":["@x"]},
		{"function":"noop","after":["@nobody"]},
		{"function":"noop","ref":"a"},
		{"function":"noop","options":{"colour":"red"}},
		{"function":"noop","color":1},
		{"function":7},
		{"args":{}},
		{"function":"noop","args":[]},
		{"function":"send","args":{"to":"x"},"options":{"delay":3600,"tags":["t"]},"idempotency_key":"i"}
	]`)
	if got.status != 207 {
		t.Fatal(got)
	}
	results := got.json(t)["jobs"].([]any)
	want := []string{"waiting", "scheduled", "scheduled", "HR2002", "HR2004", "HR2004", "HR2007", "HR2004", "HR2004", "HR2004", "HR2004", "HR2004", "HR2002", "scheduled"}
	for i, w := range want {
		result := results[i].(map[string]any)
		state, _ := result["state"].(string)
		if p, ok := result["error"].(map[string]any); ok {
			state = p["code"].(string)
		}
		if state != w {
			t.Errorf("entry %d: %v, want %s", i, result, w)
		}
	}
	if last := results[13].(map[string]any); last["duplicate"] != true || last["id"] != results[2].(map[string]any)["id"] {
		t.Error(last)
	}
	lines := r.do("POST", "/v1/jobs", "{\"function\":\"noop\"}\n{\"function\":\"noop\"}\n\n", "Content-Type", "application/x-ndjson")
	if lines.status != 202 || len(lines.json(t)["jobs"].([]any)) != 2 {
		t.Error(lines)
	}
	if got := r.do("POST", "/v1/jobs", "[]"); got.status != 202 || len(got.json(t)["jobs"].([]any)) != 0 {
		t.Error(got)
	}
	lines = r.do("POST", "/v1/jobs", "{\"function\":\"noop\"}\n{\"ref\":\"x\",\n\r\n \x00\n{\"function\":\"noop\"} {}\n{\"function\":\"noop\"}", "Content-Type", "application/x-ndjson")
	if lines.status != 207 {
		t.Fatal(lines)
	}
	for i, want := range []string{"", "byte 31, 2:12", "byte 35, 4:2", "byte 57, 5:21", ""} { // a line that cannot be read is refused by itself
		result := lines.json(t)["jobs"].([]any)[i].(map[string]any)
		p, refused := result["error"].(map[string]any)
		if refused != (want != "") || refused && (p["code"] != "HR2001" || p["where"] != want) {
			t.Errorf("line %d: %v, want %q", i, result, want)
		}
	}
}

func TestBlobs(t *testing.T) {
	r := newRig(t)
	sum := sha256.Sum256([]byte("hello"))
	digest := "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
	got := r.do("PUT", "/v1/blobs", "hello", "Repr-Digest", digest, "Content-Type", "text/plain; charset=utf-8")
	if got.status != 201 || got.json(t)["type"] != "text/plain" {
		t.Fatal(got)
	}
	if bad := r.do("PUT", "/v1/blobs", "hallo", "Repr-Digest", digest); bad.code(t) != "HR5007" {
		t.Error(bad)
	}
	at := got.header.Get("Location")
	for header, want := range map[string]string{"bytes=1-3": "206 ell", "bytes=-2": "206 lo", "bytes=2-": "206 llo", "bytes=0-99": "206 hello", "bytes=3-1": "200 hello", "lines=1": "200 hello", "bytes=0-1,3-4": "200 hello"} {
		if got := r.do("GET", at, "", "Range", header); got.String() != want {
			t.Errorf("%s: %v", header, got)
		}
	}
	if got := r.do("GET", at, "", "Range", "bytes=5-"); got.code(t) != "HR1013" || got.header.Get("Content-Range") != "bytes */5" {
		t.Error(got, got.header)
	}
	if got := r.do("HEAD", at, ""); got.status != 200 || got.body != "" || got.header.Get("Content-Length") != "5" {
		t.Error(got, got.header)
	}
	if got := r.do("GET", at+"?name=a.txt&type=text/html", ""); got.header.Get("Content-Security-Policy") != "sandbox" || got.header.Get("Content-Disposition") != "attachment; filename=a.txt" {
		t.Error(got.header)
	}
	form := "--b\r\nContent-Disposition: form-data; name=\"top\"\r\n\r\n5\r\n--b\r\nContent-Disposition: form-data; name=\"table\"; filename=\"t.csv\"\r\nContent-Type: text/csv\r\n\r\nhello\r\n--b--\r\n"
	done := r.do("POST", "/v1/jobs/measure?wait=20s", form, "Content-Type", "multipart/form-data; boundary=b")
	if done.status != 200 || done.json(t)["result"] != 10.0 {
		t.Error(done)
	}
	ref := r.do("POST", "/v1/jobs/measure?wait=20s", `{"table":{"$blob":"`+strings.TrimPrefix(at, "/v1/blobs/")+`"}}`)
	if ref.status != 200 || ref.json(t)["result"] != 15.0 {
		t.Error(ref)
	}
}

// A 202 is given after the commit: what was answered is there after the plane was opened again on the same data.
func TestAcceptedIsCommitted(t *testing.T) {
	r := newRig(t)
	id := mustID(t, r.enqueue("/v1/jobs/send?delay=1h", `{"to":"x"}`))
	must(t, r.control.Stop(t.Context()))
	must(t, r.jobs.Stop(t.Context()))
	again, err := jobs.Open(t.Context(), r.config, r.engine, r.fns, slog.Default())
	must(t, err)
	info, err := again.Get(id)
	must(t, err)
	if info.State != "scheduled" {
		t.Error(info)
	}
	must(t, again.Stop(t.Context()))
	if _, err := http.Get(r.url + "/healthz"); err == nil {
		t.Error("the listener is still there")
	}
}
