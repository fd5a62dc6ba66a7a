package access_test

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/access"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

const patience = 20 * time.Second

// sink keeps what is written. While it is held, writing waits.
type sink struct {
	held sync.Mutex
	mu   sync.Mutex
	text strings.Builder
}

func (s *sink) Write(p []byte) (int, error) {
	s.held.Lock()
	defer s.held.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *sink) lines() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Split(strings.TrimSuffix(s.text.String(), "\n"), "\n")
}

// serve starts a door that answers with status 200, or as the path says, and tells the log of every request.
func serve(t *testing.T, log *access.Log, c *config.Access) string {
	t.Helper()
	server := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Second, IdleTimeout: time.Second, Log: slog.Default(),
		Admit: func(*exchange.Request) error { return nil },
		Serve: func(r *exchange.Request) error {
			switch string(r.Path()) {
			case "/problem":
				return problem.New("HR5001", "broken")
			case "/stream":
				r.Answer(io.LimitReader(zeros{}, 100_000), -1)
				return nil
			}
			r.Response.SetBodyString("hello")
			return nil
		},
		Finish: func(r *exchange.Request) { log.Tell(r, "some route", c) },
		Broken: func(r *exchange.Request) { log.Broken(r, c) },
	})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(t.Context()) })
	return "http://" + server.Addr().(*net.TCPAddr).String()
}

func dropped(t *testing.T, log *access.Log) float64 {
	t.Helper()
	r := prometheus.NewRegistry()
	r.MustRegister(log.Dropped)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func get(t *testing.T, address string, headers ...string) {
	t.Helper()
	r, err := http.NewRequest("GET", address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
}

func TestLines(t *testing.T) {
	out := &sink{}
	log := access.New(out, slog.Default())
	at := serve(t, log, &config.Access{Sample: 1, Headers: []string{"X-Tenant", "Cookie"}, Redact: []string{"pin"}})
	get(t, at+"/a%22b?x=1&pin=geheim&api_key=geheim&%74oken=t", "X-Tenant", "acme", "Cookie", "session=geheim", "Authorization", "Bearer geheim",
		"Referer", "http://page/?token=geheim", "Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	get(t, at+"/problem")
	get(t, at+"/stream")
	log.Close()
	var told []map[string]any
	for _, line := range out.lines() {
		var one map[string]any
		if err := json.Unmarshal([]byte(line), &one); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if strings.Contains(line, "geheim") {
			t.Errorf("a secret is logged: %s", line)
		}
		told = append(told, one)
	}
	if len(told) != 3 {
		t.Fatal(told)
	}
	for name, want := range map[string]any{"route": "some route", "method": "GET", "path": `/a"b`, "query": "x=1&pin=***&api_key=***&%74oken=***", "status": 200.0,
		"bytes": 5.0, "client": "127.0.0.1", "header.x-tenant": "acme", "referer": "http://page/", "trace": "0af7651916cd43dd8448eb211c80319c", "header.cookie": nil} {
		if told[0][name] != want {
			t.Errorf("%s is %v, want %v", name, told[0][name], want)
		}
	}
	if told[1]["code"] != "HR5001" || told[1]["status"] != 503.0 {
		t.Error(told[1])
	}
	if told[2]["bytes"] != 100_000.0 {
		t.Error(told[2])
	}
}

func TestSample(t *testing.T) {
	out := &sink{}
	log := access.New(out, slog.Default())
	at := serve(t, log, &config.Access{Sample: 1e-9})
	for range 20 {
		get(t, at+"/")
	}
	get(t, at+"/problem")
	log.Close()
	if lines := out.lines(); len(lines) != 1 || !strings.Contains(lines[0], "HR5001") {
		t.Error(lines)
	}
}

// A file that takes nothing stops no request; what does not fit is counted.
func TestSlowFile(t *testing.T) {
	out := &sink{}
	out.held.Lock()
	log := access.New(out, slog.Default())
	at := serve(t, log, &config.Access{Sample: 1, Headers: []string{"X-Long"}})
	long := strings.Repeat("x", 12_000)
	sent := 0
	for dropped(t, log) == 0 {
		if get(t, at+"/", "X-Long", long); sent > 2000 {
			t.Fatal("nothing is dropped")
		}
		sent++
	}
	out.held.Unlock()
	log.Close()
	if kept := len(out.lines()); kept+int(dropped(t, log)) != sent {
		t.Errorf("%d requests, %d lines, %v dropped", sent, kept, dropped(t, log))
	}
}

// raw sends bytes on a connection of their own, and waits for the end of the answer.
func raw(t *testing.T, at, request string) {
	t.Helper()
	c, err := net.Dial("tcp", strings.TrimPrefix(at, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	_ = c.(*net.TCPConn).CloseWrite()
	_, _ = io.Copy(io.Discard, c)
}

// What is no request has a line too; it is sampled as others are, and followed.
func TestBroken(t *testing.T) {
	out := &sink{}
	log := access.New(out, slog.Default())
	at := serve(t, log, &config.Access{Sample: 1})
	for _, c := range []struct {
		request string
		status  float64
		code    string
	}{
		{"GET /?token=geheim HTTP/1.1\r\nHost x\r\n\r\n", 400, "HR1011"},
		{"\x16\x03\x01\x02\x00\x01\r\n\r\n", 400, "HR1011"},
		{"PUT /?token=geheim HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nx", 400, "HR1004"},
		{"GET /" + strings.Repeat("a", 20_000) + " HTTP/1.1\r\n", 431, "HR1009"},
	} {
		f := log.Follow(1)
		raw(t, at, c.request)
		var told map[string]any
		select {
		case line := <-f.Lines:
			if err := json.Unmarshal(line, &told); err != nil {
				t.Fatal(err)
			}
		case <-time.After(patience):
			t.Fatalf("nothing is told of %.40q", c.request)
		}
		f.Close()
		if told["route"] != "none" || told["status"] != c.status || told["code"] != c.code || told["client"] != "127.0.0.1" || told["bytes"].(float64) < 50 {
			t.Errorf("%.40q: %v", c.request, told)
		}
	}
	log.Close()
	if lines := out.lines(); len(lines) != 4 || strings.Contains(strings.Join(lines, ""), "geheim") {
		t.Error(lines)
	}
	out = &sink{}
	log = access.New(out, slog.Default())
	at = serve(t, log, &config.Access{Sample: 1e-9})
	raw(t, at, "nothing\r\n\r\n")
	log.Close()
	if text := out.lines(); text[0] != "" {
		t.Error(text)
	}
}

func TestFollow(t *testing.T) {
	log := access.New(io.Discard, slog.Default())
	defer log.Close()
	at := serve(t, log, nil)
	f := log.Follow(1)
	get(t, at+"/one")
	get(t, at+"/two")
	select {
	case line := <-f.Lines:
		if !strings.Contains(string(line), `"path":"/one"`) {
			t.Error(string(line))
		}
	case <-time.After(patience):
		t.Fatal("nothing is told")
	}
	if f.Missed.Load() != 1 {
		t.Error(f.Missed.Load())
	}
	f.Close()
	if f.Close(); log.Followed() {
		t.Error("somebody follows still")
	}
}
