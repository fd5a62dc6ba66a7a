package control_test

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// callCache calls the operations on the cache, with an answer in it.
func (r *rig) callCache(call func(operation, path, body string, want int, headers ...string) answer) {
	policy, err := r.cache.New("/products/*", &config.Cache{MaxBody: config.MiB, Tags: "Cache-Tag"})
	must(r.t, err)
	chain := exchange.NewChain(func(q *exchange.Request) error {
		q.Response.Header.Set("Cache-Control", "max-age=60")
		q.Response.Header.Set("Cache-Tag", "products")
		q.SetBodyString("ok")
		return nil
	}, policy)
	door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: time.Second, IdleTimeout: time.Second, Log: slog.New(slog.DiscardHandler),
		Admit: chain.Admit, Serve: chain.Serve})
	must(r.t, door.Start())
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = door.Stop(ctx)
	}()
	fill := func() {
		a, err := http.Get("http://" + door.Addr().String() + "/products/1")
		must(r.t, err)
		must(r.t, a.Body.Close())
	}
	fill()
	fill()
	stats := call("GET /v1/cache", "", "", 200).json(r.t)
	if route := stats["routes"].(map[string]any)["/products/*"].(map[string]any); stats["entries"] != 1.0 || route["hit"] != 1.0 || route["miss"] != 1.0 {
		r.t.Error(stats)
	}
	for _, c := range []struct {
		body string
		want float64
	}{
		{`{"tags":["other"]}`, 0}, {`{"tags":["products","x"]}`, 1}, {`{"prefixes":["/products"]}`, 1}, {`{"all":true,"host":"other.example"}`, 0}, {`{"all":true}`, 1},
	} {
		fill()
		if got := call("POST /v1/cache/purge", "", c.body, 200).json(r.t); got["purged"] != c.want {
			r.t.Error(c, got)
		}
	}
	for _, bad := range []string{`{}`, `{"host":"a"}`, `{"prefixes":["products"]}`, `{"tag":"x"}`} {
		if got := call("POST /v1/cache/purge", "", bad, 400); got.code(r.t) != "HR4072" {
			r.t.Error(bad, got)
		}
	}
}
