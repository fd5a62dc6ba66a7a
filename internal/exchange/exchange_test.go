package exchange

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

func FuzzRange(f *testing.F) {
	f.Add("bytes=0-1", int64(10))
	f.Add("bytes=-1", int64(0))
	f.Add("bytes=99999999999999999999-", int64(5))
	f.Fuzz(func(t *testing.T, header string, size int64) {
		if size < 0 {
			return
		}
		from, length, ok, satisfiable := ParseRange(header, size)
		if ok && satisfiable && (from < 0 || length <= 0 || from+length > size || from+length < from) {
			t.Fatalf("%q of %d: %d+%d", header, size, from, length)
		}
	})
}

const everything = `{"type":"object","properties":{"text":{"type":"string"},"n":{"type":"integer"},"maybe":{"anyOf":[{"type":"number"},{"type":"null"}]},
	"flag":{"type":"boolean"},"list":{"type":"array","items":{"type":"integer"}},"doc":{"$ref":"#/$defs/Doc"},"choice":{"enum":["a",1]},"any":{},
	"tree":{"$ref":"#/$defs/Tree"}},"$defs":{"Doc":{"type":"object"},"Tree":{"anyOf":[{"$ref":"#/$defs/Tree"},{"type":"string"}]}}}`

func TestShape(t *testing.T) {
	shape, err := NewShape([]byte(everything))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		texts []string
		want  string
	}{
		{"text", []string{"5"}, `"5"`}, {"text", []string{`"`}, `"\""`}, {"n", []string{"5"}, `5`}, {"n", []string{"x"}, `"x"`}, {"n", []string{"1", "2"}, `2`},
		{"n", []string{"NaN"}, `"NaN"`}, {"n", []string{"05"}, `"05"`}, {"maybe", []string{""}, `null`}, {"maybe", []string{"1.5"}, `1.5`}, {"flag", []string{"true"}, `true`}, {"flag", []string{"on"}, `true`},
		{"flag", []string{"0"}, `false`}, {"flag", []string{"yes"}, `"yes"`}, {"list", []string{"1"}, `[1]`}, {"list", []string{"1", "2"}, `[1,2]`}, {"list", []string{"[3, 4]"}, `[3, 4]`},
		{"doc", []string{`{"a":1}`}, `{"a":1}`}, {"doc", []string{`{"a":1`}, `"{\"a\":1"`}, {"choice", []string{"a"}, `"a"`}, {"choice", []string{"1"}, `1`}, {"any", []string{"1"}, `"1"`},
		{"other", []string{"x"}, `"x"`}, {"tree", []string{"x"}, `"x"`},
	} {
		if got := string(shape.Append(nil, c.name, c.texts, 10)); got != c.want {
			t.Errorf("%s %q: %s, want %s", c.name, c.texts, got, c.want)
		}
	}
}

func FuzzShape(f *testing.F) {
	f.Add("list", "[1", "2")
	f.Add("n", "1e5", "\xff")
	shape, err := NewShape([]byte(everything))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, name, a, b string) {
		for _, texts := range [][]string{{a}, {a, b}} {
			if got := shape.Append(nil, name, texts, 10); strictjson.Check(got, 12) != nil {
				t.Fatalf("%q: %s", texts, got)
			}
		}
	})
}

// FuzzForm sends bytes as a form over a connection: the answer is arguments that are JSON, or a problem, and never more.
func FuzzForm(f *testing.F) {
	f.Add("--b\r\nContent-Disposition: form-data; name=\"n\"\r\n\r\n5\r\n--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\nhello\r\n--b--\r\n")
	f.Add("--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%ff\r\nContent-Type: ;\r\n\r\n\r\n--b")
	f.Add("--b--")
	log := slog.New(slog.DiscardHandler)
	eng, err := engine.Open(context.Background(), engine.Config{Data: f.TempDir(), Durability: engine.Written, MinFree: -1}, log)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = eng.Stop(context.Background()) })
	planes := &Planes{Engine: eng, Config: config.Default()}
	fn, err := functions.New(workers.Function{Name: "f", Kind: "job", Blobs: []string{"file"}, Args: []byte(`{"type":"object","properties":{"n":{"type":"integer"},"file":{"type":"object"}}}`)}, nil)
	if err != nil {
		f.Fatal(err)
	}
	server := NewServer(Options{Plane: "control", Listen: "127.0.0.1:0", HeaderTimeout: time.Second, IdleTimeout: time.Second, Log: log,
		Admit: func(*Request) error { return nil },
		Serve: func(r *Request) error {
			args, err := planes.Arguments(r, fn, 1<<20)
			if err == nil {
				r.JSON(200, args)
			}
			return err
		}})
	if err := server.Start(); err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = server.Stop(context.Background()) })
	f.Fuzz(func(t *testing.T, body string) {
		got, err := http.Post("http://"+server.Addr().String(), "multipart/form-data; boundary=b", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer got.Body.Close()
		content, _ := io.ReadAll(got.Body)
		if got.StatusCode >= 500 || !json.Valid(content) || got.StatusCode == 200 && strictjson.Check(content, 64) != nil {
			t.Fatalf("%q: %d %s", body, got.StatusCode, content)
		}
	})
}

func TestMaxConnections(t *testing.T) {
	server := NewServer(Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, MaxConnections: 1, Log: slog.New(slog.DiscardHandler),
		Admit: func(*Request) error { return nil }, Serve: func(r *Request) error { r.JSON(200, []byte("{}")); return nil }})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Stop(t.Context())
	ask := func() (*http.Response, net.Conn) {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		got, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return got, conn
	}
	first, held := ask()
	if first.StatusCode != 200 {
		t.Fatal(first.Status)
	}
	second, refused := ask()
	refused.Close()
	if body, _ := io.ReadAll(second.Body); second.StatusCode != 503 || second.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "HR1012") {
		t.Error(second.Status, string(body))
	}
	held.Close()
	for deadline := time.Now().Add(5 * time.Second); ; {
		again, conn := ask()
		conn.Close()
		if again.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the place of a closed connection was not given back")
		}
	}
}

// Stop ends a server that has hardly begun.
func TestStopAtOnce(t *testing.T) {
	for range 200 {
		server := NewServer(Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Second, IdleTimeout: time.Second, Log: slog.New(slog.DiscardHandler)})
		if err := server.Start(); err != nil {
			t.Fatal(err)
		}
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := server.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPanic(t *testing.T) {
	server := NewServer(Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Second, IdleTimeout: time.Second, Log: slog.New(slog.DiscardHandler),
		Admit: func(*Request) error { return nil }, Serve: func(*Request) error { panic("x") }})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Stop(t.Context())
	status, body, err := fasthttp.Get(nil, "http://"+server.Addr().String())
	if err != nil || status != 500 || !strings.Contains(string(body), "HR7004") {
		t.Error(status, string(body), err)
	}
}

func TestRoutes(t *testing.T) {
	var table Routes[string]
	for _, r := range []string{"GET /", "GET /a", "POST /a", "GET /a/{x}", "GET /a/b", "GET /a/{x}/c", "GET /a/b/d", "GET /*", "GET /a/*", "POST /{x}"} {
		method, pattern, _ := strings.Cut(r, " ")
		if _, err := table.Add(method, pattern, r); err != nil {
			t.Fatal(err)
		}
	}
	for ask, want := range map[string]string{
		"GET /": "GET /", "GET /a": "GET /a", "HEAD /a": "GET /a", "POST /a": "POST /a", "GET /a/b": "GET /a/b", "GET /a/z": "GET /a/{x} z", "GET /a/b/c": "GET /a/{x}/c b",
		"GET /a/b/d": "GET /a/b/d", "GET /a/b/e": "GET /a/*", "GET /a/": "GET /a/*", "GET /z/y": "GET /*", "GET /z": "GET /*", "POST /z": "POST /{x} z",
		"POST /a/b": "HR1002 GET", "PUT /a": "HR1002 GET, POST", "GET x": "HR1001 ",
	} {
		method, path, _ := strings.Cut(ask, " ")
		var params [8][]byte
		got, allow, err := table.Find([]byte(method), []byte(path), &params, nil)
		if err != nil {
			got = problem.From(err).Code + " " + allow
		} else if params[0] != nil && strings.Contains(got, "{") {
			got += " " + string(params[0])
		}
		if got != want {
			t.Errorf("%s: %s, want %s", ask, got, want)
		}
	}
	if other, err := table.Add("GET", "/a/{y}", "again"); !errors.Is(err, errTaken) || other != "GET /a/{x}" {
		t.Error(other, err)
	}
	for _, bad := range []string{"a", "/{", "/{}", "/a*", "/*/a", "/a{b}", "/{a}{b}", "/{a}/{a}", "/1/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}"} {
		if _, err := table.Add("GET", bad, bad); err == nil {
			t.Errorf("%s was taken", bad)
		}
	}
}

// A connection that a plane has taken over is the plane's: the server neither counts nor keeps it.
func TestTakenOverConnectionsAreNotCounted(t *testing.T) {
	taken := make(chan net.Conn, 4)
	server := NewServer(Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, MaxConnections: 1, Log: slog.New(slog.DiscardHandler),
		Admit: func(*Request) error { return nil }, Serve: func(r *Request) error {
			r.Hijack(func(c net.Conn) { taken <- c })
			return nil
		}})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Stop(t.Context())
	left := func() int {
		server.mu.Lock()
		defer server.mu.Unlock()
		return len(server.conns) + int(server.open.Load())
	}
	for range cap(taken) {
		conn, err := net.Dial("tcp", server.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-taken
		for deadline := time.Now().Add(5 * time.Second); left() != 0; runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d are counted and kept", left())
			}
		}
	}
}
