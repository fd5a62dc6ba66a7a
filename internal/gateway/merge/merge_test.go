package merge

import (
	"context"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

func TestMerge(t *testing.T) {
	service := fixed(t, map[string]string{
		"/users/7":             `{"id":7,"name":"Ann","big":12345678901234567890.10,"address":{"city":"Ulm","street":"x"},"team":"a b/c"}`,
		"/teams/a%20b%2Fc":     `{"data":{"items":[{"id":1,"secret":true,"tags":{"x":1,"y":2}},{"id":2,"secret":false,"tags":{"x":3}}]}}`,
		"/stock?ids=1%2C2&v=1": `{"stock":[5,6],"name":"not Ann"}`,
		"/nothing":             `[]`,
	})
	g := serve(t, "/dash/{id}", section(
		config.Part{Name: "user", Upstream: service, Path: "/users/{id}", Drop: []string{"address.street", "team"}, Rename: map[string]string{"big": "number"}},
		config.Part{Upstream: service, Path: "/teams/{user.team}", Group: "items", Target: "data.items", Pick: []string{"id", "tags.x"}, Rename: map[string]string{"id": "key"}},
		config.Part{Name: "stock", Upstream: service, Path: "/stock?ids={items.data.items.*.id}&v={items.data.items.0.id}"},
		config.Part{Call: "score", Body: `{"user": {user.id}, "name": "<{user.name}>", "param": {id}, "all": {items.data.items.*.id}}`, Group: "score"},
		config.Part{Upstream: service, Path: "/nothing", Group: "none"},
	), func(_ context.Context, name string, args []byte, _ identity.Caller) ([]byte, error) {
		if name != "score" || string(args) != `{"user": 7, "name": "<Ann>", "param": 7, "all": [1,2]}` {
			t.Errorf("%s gets %s", name, args)
		}
		return []byte(`0.5`), nil
	}, nil)
	got, body := g.get(t, "/dash/7")
	want := `{"id":7,"name":"not Ann","number":12345678901234567890.10,"address":{"city":"Ulm"},"items":[{"key":1,"tags":{"x":1}},{"key":2,"tags":{"x":3}}],"stock":[5,6],"score":0.5,"none":[]}`
	if body != want || got.StatusCode != 200 || got.Header.Get(Complete) != "true" || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "" {
		t.Errorf("%v\n%s\n%s", got.Header, body, want)
	}
	if got, body := g.get(t, "/dash/8"); got.StatusCode != 404 || !strings.Contains(body, "missing") { // what the service says
		t.Error(got.Status, body)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(g.metrics)
	must(t, observe.CheckNames(registry))
}

func TestParametersStayInTheirSegment(t *testing.T) {
	var paths []string
	service := backend(t, func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.URL.RequestURI())
		_, _ = io.WriteString(w, "{}")
	})
	g := serve(t, "/u/{id}/*", section(config.Part{Name: "a", Upstream: service, Path: "/x/{id}/y/{*}?q={id}"}), nil, nil)
	for _, path := range []string{"/u/a%3Fb%23c/d/e", "/u/a%2Fb/c", "/u/%2e%2e/c", "/u/a/b/%2e%2e/c", "/u/a%26b%3D1/c"} {
		if got, _ := g.get(t, path); got.StatusCode >= 500 && got.StatusCode != 502 {
			t.Error(path, got.Status)
		}
	}
	for _, path := range paths {
		if strings.Contains(path, "..") || strings.Count(path, "?") != 1 || strings.Contains(path, "#") || strings.Contains(path[strings.Index(path, "?"):], "&") {
			t.Error(path)
		}
	}
	if !slices.Contains(paths, "/x/a%3Fb%23c/y/d/e?q=a%3Fb%23c") {
		t.Error(paths)
	}
}

func TestFailures(t *testing.T) {
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	slow := backend(t, func(http.ResponseWriter, *http.Request) { <-hung })
	good := fixed(t, map[string]string{"/": `{"a":1}`, "/list": `[1]`, "/broken": `{"a":1,}`, "/twice": `{"a":1,"a":2}`, "/large": `{"a":"` + strings.Repeat("x", 3000) + `"}`, "/object": `{"a":{}}`})
	sick := backend(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) })
	moved := backend(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "http://127.0.0.1:1/", 302) })
	packed := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		_, _ = io.WriteString(w, "{}")
	})
	f := func(ctx context.Context, name string, _ []byte, _ identity.Caller) ([]byte, error) {
		switch name {
		case "bad":
			return nil, problem.New("HR2011", "secret traceback")
		case "big":
			return make([]byte, 5000), nil
		}
		<-ctx.Done()
		return nil, ctx.Err()
	}
	for name, c := range map[string]struct {
		part   config.Part
		status int
		code   string
	}{
		"slow":      {config.Part{Upstream: slow, Path: "/", Timeout: 100 * time.Millisecond}, 504, "HR4086"},
		"sick":      {config.Part{Upstream: sick, Path: "/"}, 502, "HR4085"},
		"moved":     {config.Part{Upstream: moved, Path: "/"}, 502, "HR4085"},
		"gone":      {config.Part{Upstream: "http://127.0.0.1:1", Path: "/"}, 502, "HR4085"},
		"packed":    {config.Part{Upstream: packed, Path: "/"}, 502, "HR4087"},
		"list":      {config.Part{Upstream: good, Path: "/list"}, 502, "HR4087"},
		"broken":    {config.Part{Upstream: good, Path: "/broken"}, 502, "HR4087"},
		"twice":     {config.Part{Upstream: good, Path: "/twice"}, 502, "HR4087"},
		"large":     {config.Part{Upstream: good, Path: "/large"}, 502, "HR4087"},
		"no target": {config.Part{Upstream: good, Path: "/", Target: "b.c"}, 502, "HR4087"},
		"no value":  {config.Part{Upstream: good, Path: "/{first.b}"}, 502, "HR4087"},
		"an object": {config.Part{Upstream: good, Path: "/{third.a}"}, 502, "HR4087"},
		"bad call":  {config.Part{Call: "bad"}, 502, "HR4085"},
		"slow call": {config.Part{Call: "slow", Timeout: 50 * time.Millisecond}, 504, "HR4086"},
		"big call":  {config.Part{Call: "big"}, 502, "HR4087"},
	} {
		t.Run(name, func(t *testing.T) {
			c.part.Name = "second"
			parts := []config.Part{{Name: "first", Upstream: good, Path: "/"}, c.part, {Name: "third", Upstream: good, Path: "/object", Group: "t"}, {Name: "after", Upstream: good, Path: "/{second.a}", Optional: true, Group: "after"}}
			m := section(parts...)
			m.MaxPart = 2 * config.KiB
			got, body := serve(t, "/", m, f, nil).get(t, "/")
			if got.StatusCode != c.status || code(body) != c.code || strings.Contains(body, "127.0.0.1") || strings.Contains(body, "traceback") {
				t.Errorf("required: %d %s", got.StatusCode, body)
			}
			m.Parts[1].Optional = true
			got, body = serve(t, "/", m, f, nil).get(t, "/")
			if got.StatusCode != 200 || got.Header.Get(Complete) != "false" || got.Header.Get("Cache-Control") != "no-store" ||
				!strings.HasPrefix(body, `{"a":1,"t":{"a":{}},"errors":{"second":{"code":"`+c.code+`","detail":"`) || !strings.Contains(body, `"after":{"code":"HR4085"`) {
				t.Errorf("optional: %d %v %s", got.StatusCode, got.Header, body)
			}
			m.Errors = ""
			if _, body = serve(t, "/", m, f, nil).get(t, "/"); body != `{"a":1,"t":{"a":{}}}` {
				t.Errorf("without errors: %s", body)
			}
		})
	}
	whole := section(config.Part{Name: "a", Upstream: slow, Path: "/"}, config.Part{Name: "b", Upstream: good, Path: "/"})
	whole.Timeout = 100 * time.Millisecond
	begun := time.Now()
	if got, body := serve(t, "/", whole, nil, nil).get(t, "/"); got.StatusCode != 504 || time.Since(begun) > 2*time.Second {
		t.Error(got.Status, body, time.Since(begun))
	}
	if _, err := New(&config.Route{Match: "/", Merge: section(config.Part{Name: "a", Call: "f", Body: "{b.x}"}, config.Part{Name: "b", Call: "f", Body: "{a.x}"})}, Deps{}); problem.From(err).Code != "HR9003" {
		t.Error("a circle:", err)
	}
}

// Over kept connections, too, a required part that fails ends the whole at once, and parts that need others are asked when these are there.
func TestOverKeptConnections(t *testing.T) {
	var hang atomic.Bool
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) })
	slow := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		if hang.Load() {
			<-hung
		}
		_, _ = io.WriteString(w, `{"s":1}`)
	})
	sick := backend(t, func(w http.ResponseWriter, _ *http.Request) {
		if hang.Load() {
			w.WriteHeader(500)
		}
		_, _ = io.WriteString(w, `{"a":1}`)
	})
	good := fixed(t, map[string]string{"/1": `{"b":2}`, "/2": `{"c":3}`})
	m := section(config.Part{Name: "slow", Upstream: slow, Path: "/"}, config.Part{Name: "sick", Upstream: sick, Path: "/"},
		config.Part{Name: "next", Upstream: good, Path: "/{sick.a}"}, config.Part{Name: "last", Upstream: good, Path: "/{next.b}"})
	m.Timeout = time.Minute
	s := serve(t, "/", m, nil, nil)
	for range 3 {
		if got, body := s.get(t, "/"); got.StatusCode != 200 || body != `{"s":1,"a":1,"b":2,"c":3}` {
			t.Fatal(got.Status, body)
		}
	}
	hang.Store(true)
	begun := time.Now()
	if got, body := s.get(t, "/"); got.StatusCode != 502 || time.Since(begun) > 20*time.Second {
		t.Error(got.Status, body, time.Since(begun))
	}
}

// What a function says of a wrong request is the answer, as a status of 4xx of an upstream is; what went wrong in it is not.
func TestFunctionRefuses(t *testing.T) {
	for _, c := range []struct {
		err    error
		status int
		code   string
	}{
		{problem.New("HR2002", "id must be an integer").At("/args/id"), 422, "HR2002"},
		{problem.New("HR2020", "there is no such user").Answering(404), 404, "HR2020"},
		{problem.New("HR2020", "secret").Answering(500), 502, "HR4085"},
		{problem.New("HR2003", "secret"), 502, "HR4085"},
	} {
		f := func(context.Context, string, []byte, identity.Caller) ([]byte, error) { return nil, c.err }
		m := section(config.Part{Group: "user", Call: "user", Body: `{"id": {id}}`})
		got, body := serve(t, "/dash/{id}", m, f, nil).get(t, "/dash/abc")
		if got.StatusCode != c.status || code(body) != c.code || strings.Contains(body, "secret") {
			t.Errorf("required: %d %s", got.StatusCode, body)
		}
		m.Parts[0].Optional = true
		got, body = serve(t, "/dash/{id}", m, f, nil).get(t, "/dash/abc")
		if got.StatusCode != 200 || !strings.HasPrefix(body, `{"errors":{"user":{"code":"`+c.code+`"`) || strings.Contains(body, "secret") {
			t.Errorf("optional: %d %s", got.StatusCode, body)
		}
	}
}

func TestWhatPartsGet(t *testing.T) {
	seen := make(chan *http.Request, 1)
	body := ""
	for _, protocol := range []string{"http1", "h2"} {
		u := config.DefaultUpstream()
		u.Protocol = protocol
		u.Targets = []config.Target{{URL: backend(t, func(w http.ResponseWriter, r *http.Request) {
			b, _ := io.ReadAll(r.Body)
			body = string(b)
			w.Header().Set("Cache-Control", "max-age=60")
			w.Header().Set("Vary", "Accept-Language")
			_, _ = io.WriteString(w, `{"ok":true}`)
			seen <- r
		}), Weight: 1}}
		m := section(config.Part{Name: "a", Upstream: "api", Path: "/x", Body: `{"id":"{id}"}`})
		m.Query = []string{"full"}
		g := serve(t, "/{id}", m, nil, map[string]*config.Upstream{"api": u})
		got, text := g.get(t, "/a%22b?full=a%26b&other=1", "Authorization", "Bearer x", "Accept-Language", "de", "X-Secret", "1", "Cookie", "a=b", "X-Forwarded-For", "1.2.3.4",
			"Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
		if text != `{"ok":true}` || got.Header.Get("Cache-Control") != "max-age=60" || got.Header.Get("Vary") != "Accept-Language" {
			t.Fatal(protocol, got.Status, got.Header, text)
		}
		r := <-seen
		h := r.Header
		if r.Method != "POST" || body != `{"id":"a\"b"}` || r.URL.RequestURI() != "/x?full=a%26b" || h.Get("Content-Type") != "application/json" || h.Get("Authorization") != "Bearer x" ||
			h.Get("Accept-Language") != "de" || h.Get("Cookie") != "a=b" || h.Get("X-Secret") != "" || h.Get("X-Forwarded-For") != "127.0.0.1" || h.Get("X-Request-Id") == "" ||
			h.Get("Traceparent") == "" || h.Get("X-Forwarded-Proto") != "http" || r.ProtoMajor != map[string]int{"http1": 1, "h2": 2}[protocol] {
			t.Error(protocol, r.Method, r.URL, body, h)
		}
	}
}

func TestRetry(t *testing.T) {
	good := fixed(t, map[string]string{"/": `{"a":1}`})
	u := config.DefaultUpstream()
	u.Targets = []config.Target{{URL: "http://127.0.0.1:1", Weight: 1}, {URL: good, Weight: 1}}
	g := serve(t, "/", section(config.Part{Upstream: "api", Path: "/"}), nil, map[string]*config.Upstream{"api": u})
	for range 4 {
		if got, body := g.get(t, "/"); body != `{"a":1}` {
			t.Fatal(got.Status, body)
		}
	}
}

func TestFresh(t *testing.T) {
	type part = [2]string
	for want, parts := range map[string][]part{
		"":                           {{"", ""}, {"", "5"}},
		"max-age=30":                 {{"max-age=60", ""}, {"public, max-age=30", ""}},
		"max-age=50":                 {{"max-age=60", "10"}, {"max-age=55", ""}},
		"max-age=0":                  {{"max-age=60", "100"}},
		"no-store":                   {{"max-age=60", ""}, {"No-Store", ""}},
		"private, max-age=60":        {{"max-age=60", ""}, {"private, max-age=90, s-maxage=5", ""}},
		"no-cache":                   {{"max-age=60", ""}, {"", ""}},
		"private, no-cache":          {{"max-age=60", ""}, {"private", ""}},
		"max-age=10, s-maxage=20":    {{"max-age=10, s-maxage=600", ""}, {"max-age=20", ""}},
		"max-age=0, s-maxage=20":     {{"s-maxage=20", ""}, {"max-age=60", ""}},
		"max-age=5, must-revalidate": {{`max-age="5", must-revalidate`, "x"}},
		"no-cache, must-revalidate":  {{"max-age=x, must-revalidate", ""}},
	} {
		f := newFresh()
		for _, p := range parts {
			f.add(p[0], p[1])
		}
		if got := f.header(); got != want {
			t.Errorf("%v: %q, want %q", parts, got, want)
		}
	}
}
