package cache

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// rig is a door with a cache before an upstream.
type rig struct {
	t        testing.TB
	store    *Store
	url      string
	upstream atomic.Pointer[http.HandlerFunc]
	asked    atomic.Int64 // of the upstream
	begun    atomic.Int64 // at the door
	trusted  []netip.Prefix
}

func defaults() *config.Cache {
	return &config.Cache{MaxBody: config.MiB, Vary: []string{"Accept", "Accept-Encoding", "Accept-Language", "Origin"}, Tags: "Cache-Tag", Wait: 5 * time.Second}
}

func newRig(t testing.TB, c *config.Cache, upstream http.HandlerFunc, trusted ...netip.Prefix) *rig {
	t.Helper()
	return newRigBehind(t, c, upstream, nil, trusted...)
}

// newRigBehind has other policies before the cache.
func newRigBehind(t testing.TB, c *config.Cache, upstream http.HandlerFunc, outer []exchange.Policy, trusted ...netip.Prefix) *rig {
	t.Helper()
	r := &rig{t: t, store: NewStore(64 * config.MiB)}
	t.Cleanup(r.store.Close)
	r.upstream.Store(&upstream)
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.asked.Add(1)
		(*r.upstream.Load())(w, q)
	}))
	t.Cleanup(service.Close)
	policy, err := r.store.New("/*", c)
	if err != nil {
		t.Fatal(err)
	}
	chain := exchange.NewChain(passOn(service.URL), append(outer, policy)...)
	door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second,
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)), Trusted: trusted,
		Admit: func(q *exchange.Request) error {
			r.begun.Add(1)
			if user := q.Request.Header.Peek("X-User"); len(user) > 0 {
				q.Identity = &identity.Identity{Method: "jwt", Subject: string(user)}
			}
			return chain.Admit(q)
		}, Serve: chain.Serve, Finish: chain.Finish})
	if err := door.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = door.Stop(ctx)
	})
	r.url = "http://" + door.Addr().String()
	return r
}

var client = &http.Client{
	Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 200, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12}},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// passOn is an action that asks a service, as a proxy does.
func passOn(service string) exchange.Handler {
	return func(r *exchange.Request) error {
		q, err := http.NewRequest(string(r.Method()), service+string(r.Request.Header.RequestURI()), strings.NewReader(string(r.PostBody())))
		if err != nil {
			return err
		}
		for key, value := range r.Request.Header.All() {
			if k := string(key); k != "Host" && k != "Content-Length" {
				q.Header.Add(k, string(value))
			}
		}
		q.Host = string(r.Host())
		if !r.Behind() {
			q.Header.Set("X-Forwarded-Host", string(r.Host()))
		}
		q.Header.Set("X-Forwarded-For", r.Client().String())
		a, err := client.Do(q)
		if err != nil {
			return problem.New("HR1012", "upstream: %w", err) // 503
		}
		r.SetStatusCode(a.StatusCode)
		for key, values := range a.Header {
			for _, value := range values {
				r.Response.Header.Add(key, value)
			}
		}
		if a.StatusCode == 304 || a.StatusCode == 204 || r.IsHead() {
			a.Body.Close()
			return nil
		}
		if a.ContentLength >= 0 && a.ContentLength < 64<<10 {
			defer a.Body.Close()
			body, err := io.ReadAll(a.Body)
			r.Response.SetBody(body)
			return err
		}
		r.Answer(a.Body, a.ContentLength)
		return nil
	}
}

type got struct {
	status int
	header http.Header
	body   string
}

func (g got) cache() string { return g.header.Get("Cache-Status") }

func (r *rig) do(method, path string, headers ...string) got {
	r.t.Helper()
	g, err := r.try(method, path, headers...)
	if err != nil {
		r.t.Fatal(err)
	}
	return g
}

func (r *rig) try(method, path string, headers ...string) (got, error) {
	q, err := http.NewRequest(method, r.url+path, nil)
	if err != nil {
		return got{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			q.Host = headers[i+1]
		} else {
			q.Header.Add(headers[i], headers[i+1])
		}
	}
	a, err := client.Do(q)
	if err != nil {
		return got{}, err
	}
	defer a.Body.Close()
	body, err := io.ReadAll(a.Body)
	return got{a.StatusCode, a.Header, string(body)}, err
}

func (r *rig) get(path string, headers ...string) got {
	r.t.Helper()
	return r.do("GET", path, headers...)
}

// expect asks, and holds against the answer: h for one that is kept, m for one of the upstream.
func (r *rig) expect(what string, g got, body string) {
	r.t.Helper()
	hits := strings.HasPrefix(g.cache(), "headrace; hit") || strings.Contains(g.cache(), "304") || strings.Contains(g.cache(), "collapsed")
	if (what == "hit") != hits || body != "" && g.body != body {
		r.t.Errorf("expected %s of %q: %v", what, body, g)
	}
}

func until(t testing.TB, what string, f func() bool) {
	t.Helper()
	deadline := time.After(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !f() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("not in time: " + what)
		}
	}
}
