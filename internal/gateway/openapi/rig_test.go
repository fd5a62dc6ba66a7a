package openapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type rig struct {
	url string
	log *bytes.Buffer
}

// serve is a door whose only route has the policy.
func serve(t testing.TB, change func(*config.OpenAPI), handler exchange.Handler) *rig {
	t.Helper()
	c := &config.OpenAPI{Document: "testdata/orders.yaml", Requests: "enforce", Responses: "off", MaxBody: config.MiB}
	if change != nil {
		change(c)
	}
	g := &rig{log: &bytes.Buffer{}}
	p, err := New(c, "orders", Deps{Log: slog.New(slog.NewTextHandler(g.log, nil))})
	must(t, err)
	chain := exchange.NewChain(handler, p)
	server := exchange.NewServer(exchange.Options{
		Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
		Admit: chain.Admit, Serve: chain.Serve, Finish: chain.Finish,
	})
	must(t, server.Start())
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	g.url = "http://" + server.Addr().String()
	return g
}

type told struct{ Code, Where, Detail, Hint string }

// ask sends METHOD path, headers as in Name: value, and a body.
func (g *rig) ask(t testing.TB, request, body string, header ...string) (*http.Response, told, string) {
	t.Helper()
	method, path, _ := strings.Cut(request, " ")
	var from io.Reader
	if body != "" {
		from = strings.NewReader(body)
	}
	q, err := http.NewRequest(method, g.url+path, from)
	must(t, err)
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		q.Header.Add(name, value)
	}
	got, err := http.DefaultClient.Do(q)
	must(t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(t, err)
	var p told
	_ = json.Unmarshal(text, &p)
	return got, p, string(text)
}
