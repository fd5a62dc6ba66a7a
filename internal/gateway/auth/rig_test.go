package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/auth"
	"github.com/headrace/headrace/internal/gateway/keys"
)

const secret = "a secret of these tests, long enough"

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func logger(t testing.TB) *slog.Logger {
	p := &page{to: t.Output()}
	t.Cleanup(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.to = io.Discard
	})
	return slog.New(slog.NewTextHandler(p, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// page is the output of a test until it is over: key sets that no policy uses any more ask and log until they are collected.
type page struct {
	mu sync.Mutex
	to io.Writer
}

func (p *page) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.to.Write(text)
}

// load reads the section auth as a configuration file has it.
func load(t testing.TB, section string) *config.Auth {
	t.Helper()
	path := filepath.Join(t.TempDir(), "headrace.yaml")
	must(t, os.WriteFile(path, []byte("upstreams: {judge: {targets: [{url: http://127.0.0.1:1}]}}\npolicies: {test: {auth: "+section+"}}\n"), 0o600))
	c, err := config.Load([]string{path}, nil, nil)
	must(t, err)
	return c.Policies["test"].Auth
}

// serve puts the policy before an echo on a real door, and returns its address.
func serve(t testing.TB, c *config.Auth, d auth.Deps, change ...func(*exchange.Options)) string {
	t.Helper()
	if d.Registry == nil {
		d.Registry = auth.NewRegistry()
	}
	d.Log = logger(t)
	policy, err := auth.New(c, d)
	must(t, err)
	chain := exchange.NewChain(echo, policy)
	o := exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, Log: d.Log,
		Admit: chain.Admit, Serve: chain.Serve, Finish: chain.Finish}
	for _, f := range change {
		f(&o)
	}
	door := exchange.NewServer(o)
	must(t, door.Start())
	t.Cleanup(func() { stop(t, door.Stop) })
	return "http://" + door.Addr().String()
}

func stop(t testing.TB, f func(context.Context) error) {
	t.Helper()
	http.DefaultClient.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := f(ctx); err != nil {
		t.Error(err)
	}
}

// echoed is what the handler behind the policy saw.
type echoed struct {
	Method, Subject, Key string
	Scopes               []string
	Headers              map[string]string
	Path                 string
}

func echo(r *exchange.Request) error {
	e := echoed{Headers: map[string]string{}, Path: string(r.Path())}
	if who := r.Identity; who != nil {
		e.Method, e.Subject, e.Key, e.Scopes = who.Method, who.Subject, who.Key, who.Scopes
	}
	for name, value := range r.Request.Header.All() {
		e.Headers[string(name)] = string(value)
	}
	body, err := json.Marshal(e)
	r.JSON(200, body)
	return err
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &p)
	return p.Code
}

func (a answer) echoed(t testing.TB) (e echoed) {
	t.Helper()
	if a.status != 200 {
		t.Fatalf("%d %s", a.status, a.body)
	}
	must(t, json.Unmarshal([]byte(a.body), &e))
	return e
}

// get asks; headers are pairs.
func get(t testing.TB, address string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	return send(t, request)
}

func send(t testing.TB, request *http.Request) answer {
	t.Helper()
	client := &http.Client{Transport: http.DefaultTransport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(request)
	must(t, err)
	return read(t, got)
}

func read(t testing.TB, got *http.Response) answer {
	t.Helper()
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	must(t, err)
	return answer{got.StatusCode, got.Header, string(body)}
}

func want(t testing.TB, got answer, status int, code string) {
	t.Helper()
	if got.status != status || got.code() != code {
		t.Errorf("got %d %s, want %d %s", got.status, got.body, status, code)
	}
}

func openKeys(t testing.TB) *keys.Store {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Data: t.TempDir(), MinFree: -1}, slog.New(slog.DiscardHandler))
	must(t, err)
	t.Cleanup(func() { stop(t, e.Stop) })
	s, err := keys.Open(t.Context(), e, logger(t))
	must(t, err)
	t.Cleanup(func() { stop(t, s.Stop) })
	return s
}

func challenges(a answer) string {
	return fmt.Sprint(strings.Join(a.header.Values("WWW-Authenticate"), " | "))
}

func rate(n int, per time.Duration) config.Rate { return config.Rate{N: n, Per: per} }
