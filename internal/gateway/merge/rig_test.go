package merge

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/match"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a door with one merged route.
type rig struct {
	url     string
	metrics *Metrics
}

type call func(ctx context.Context, name string, args []byte, caller identity.Caller) ([]byte, error)

func section(parts ...config.Part) *config.Merge {
	return &config.Merge{Timeout: 5 * time.Second, Errors: "errors", MaxPart: config.MiB, Parts: parts}
}

func serve(t testing.TB, path string, m *config.Merge, f call, upstreams map[string]*config.Upstream) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	set := balance.NewSet(balance.Deps{Log: log, Health: observe.NewHealth(log)})
	cfg := config.Default()
	cfg.Upstreams = upstreams
	change, err := set.Prepare(context.Background(), cfg)
	must(t, err)
	g := &rig{metrics: NewMetrics()}
	handler, err := New(&config.Route{Match: path, Merge: m}, Deps{Find: change.Find, Call: f, Server: &cfg.Server, Log: log, Metrics: g.metrics})
	must(t, err)
	change.Commit()
	var table match.Table[exchange.Handler]
	must(t, table.Add(match.Rule{Methods: []string{"*"}, Path: path}, handler))
	door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, Log: log,
		Admit: func(r *exchange.Request) error {
			found, _, err := table.Find(&r.Request, r.Method(), r.Path(), &r.Params)
			r.Route = found
			return err
		},
		Serve: func(r *exchange.Request) error { return r.Route.(exchange.Handler)(r) },
	})
	must(t, door.Start())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = door.Stop(ctx)
		set.Stop()
	})
	g.url = "http://" + door.Addr().String()
	return g
}

// backend is a service of the standard library.
func backend(t testing.TB, f http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s := &http.Server{Handler: f, Protocols: new(http.Protocols)}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + listener.Addr().String()
}

// fixed answers every path with its JSON.
func fixed(t testing.TB, answers map[string]string) string {
	return backend(t, func(w http.ResponseWriter, r *http.Request) {
		text, ok := answers[r.URL.RequestURI()]
		if !ok {
			http.Error(w, `{"missing":true}`, http.StatusNotFound)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, text)
	})
}

func (g *rig) get(t testing.TB, path string, header ...string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequest("GET", g.url+path, nil)
	must(t, err)
	for i := 0; i < len(header); i += 2 {
		q.Header.Add(header[i], header[i+1])
	}
	got, err := http.DefaultClient.Do(q)
	must(t, err)
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	must(t, err)
	return got, string(body)
}

func code(body string) string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(body), &p)
	return p.Code
}

func listen(t testing.TB, s *fasthttp.Server) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Shutdown() })
	return "http://" + listener.Addr().String()
}
