package balance

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/upstream"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

const patience = 20 * time.Second

func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			t.Fatal("never: ", what)
		case <-tick.C:
		}
	}
}

func newSet(t testing.TB, change ...func(*Deps)) *Set {
	log := slog.New(slog.DiscardHandler)
	d := Deps{Log: log, Health: observe.NewHealth(log)}
	for _, f := range change {
		f(&d)
	}
	s := NewSet(d)
	t.Cleanup(s.Stop)
	return s
}

// one is an upstream of targets with defaults that a test changes.
func one(change func(*config.Upstream), urls ...string) *config.Upstream {
	c := config.DefaultUpstream()
	for _, url := range urls {
		c.Targets = append(c.Targets, config.Target{URL: url, Weight: 1})
	}
	if change != nil {
		change(c)
	}
	return c
}

func conf(list map[string]*config.Upstream) *config.Config {
	c := config.Default()
	c.Upstreams = list
	return c
}

// put makes an upstream called api the only one in force.
func put(t testing.TB, s *Set, c *config.Upstream) *Upstream {
	t.Helper()
	change, err := s.Prepare(context.Background(), conf(map[string]*config.Upstream{"api": c}))
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	return s.Find("api")
}

func pick(t testing.TB, u *Upstream, p *Pick) *Target {
	t.Helper()
	target, err := u.Pick(p)
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func refused(t testing.TB, u *Upstream, code string) {
	t.Helper()
	_, err := u.Pick(&Pick{})
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != code {
		t.Errorf("%v instead of %s", err, code)
	}
}

// end has a request to a target end.
func end(target *Target, failed bool, status int) {
	target.Begin()
	target.End(failed, status, time.Millisecond)
}

// send sends one request as the proxy does, and returns the body.
func send(u *Upstream) (string, *Target, error) {
	target, err := u.Pick(&Pick{})
	if err != nil {
		return "", nil, err
	}
	target.Begin()
	begun := time.Now()
	resp := fasthttp.AcquireResponse()
	defer fasthttp.ReleaseResponse(resp)
	call := upstream.Call{Head: fmt.Appendf(nil, "GET / HTTP/1.1\r\nHost: %s\r\n", target.URL().Host), Method: []byte("GET")}
	err = target.Client().Do(&call, resp)
	target.End(err != nil, resp.StatusCode(), time.Since(begun))
	return string(resp.Body()), target, err
}

// backend is a real server that answers with its name and counts requests.
type backend struct {
	*httptest.Server
	status atomic.Int32
	asked  atomic.Int32
	checks atomic.Int32
}

func newBackend(t testing.TB, name string) *backend {
	b := &backend{}
	b.status.Store(200)
	b.Server = httptest.NewServer(b.handler(name))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) handler(name string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/health" {
			b.checks.Add(1)
		} else {
			b.asked.Add(1)
		}
		w.WriteHeader(int(b.status.Load()))
		_, _ = fmt.Fprint(w, name)
	})
}

// port is that of a listener.
func port(l net.Listener) int { return l.Addr().(*net.TCPAddr).Port }

func state(u *Upstream, i int) State { return u.Status().Targets[i].State }

func raised(s *Set, code string) (text string) {
	for _, c := range s.health.Report().Conditions {
		if c.Code == code {
			return c.Subject + ": " + c.Text
		}
	}
	return ""
}
