package balance

import (
	"crypto/tls"
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/gateway/service"
	"github.com/headrace/headrace/internal/gateway/upstream"
)

// Target is one address of an upstream. Its methods may be called from any goroutine, also after it has left the upstream.
type Target struct {
	upstream *Upstream
	address
	tls     *tls.Config // nil without TLS
	client  *upstream.Client
	seed    uint64
	load    *load
	dialed  atomic.Int64     // connections of h2 that are open
	replica *service.Replica // the process, which counts its requests whatever upstreams it had; nil for other targets

	transport func() http.RoundTripper // made once

	fails atomic.Int32 // in a row
	slow  atomic.Int64 // when it came back, as time since that of the set; 0 once it has its full share

	health          // guarded by the mutex of the upstream
	stop     func() // ends the checks
	left     bool   // it is not a target any more
	checking bool
	idle     int // ticks without requests, once it has left

	_    [64]byte // what is written by each request is apart from what is read by each
	busy atomic.Int64
	_    [56]byte
}

// newTarget opens nothing yet: connections are made by requests.
func (u *Upstream) newTarget(a address) *Target {
	t := &Target{upstream: u, address: a, load: u.record.take(a.name), stop: func() {}}
	t.since = time.Now()
	h := fnv.New64a()
	_, _ = h.Write([]byte(a.name))
	t.seed = mix(h.Sum64())
	if a.url.Scheme == "https" {
		t.tls = u.tls.Clone()
		if t.tls.ServerName == "" {
			t.tls.ServerName = a.url.Hostname()
		}
	}
	c := u.cfg
	t.client = upstream.New(upstream.Options{
		Network: a.network, Address: a.dial, TLS: t.tls,
		ConnectTimeout: c.Timeout.Connect, HeaderTimeout: c.Timeout.Header, IdleTimeout: c.Timeout.Idle,
		KeepAlive: c.Connections.KeepAlive, MaxIdle: c.Connections.Idle, MaxConns: c.Connections.Max, MaxHead: int(c.MaxHead),
	})
	t.transport = sync.OnceValue(func() http.RoundTripper { return newTransport(t) })
	return t
}

// Name is the target in metrics, logs and the API: its url, with the address behind # where the url has a host name that stands for
// several, or the number of a process behind the name of its upstream.
func (t *Target) Name() string { return t.name }

// URL is the target as it is configured: scheme, host and port, which is what the header Host is made from where the client's is not passed
// on. A Unix socket is http://localhost. It must not be changed.
func (t *Target) URL() *url.URL { return t.url }

// Address is where connections go: tcp and host:port, or unix and a path.
func (t *Target) Address() (network, address string) { return t.network, t.dial }

// Upstream is what the target belongs to.
func (t *Target) Upstream() *Upstream { return t.upstream }

// TLS is what connections to the target use, nil without TLS. It must not be changed.
func (t *Target) TLS() *tls.Config { return t.tls }

// Client speaks HTTP/1.1 with the target.
func (t *Target) Client() *upstream.Client { return t.client }

// Transport speaks HTTP/2 with the target, with TLS if it has it and else without. It is made when it is asked for first.
func (t *Target) Transport() http.RoundTripper { return t.transport() }

// Begin counts a request that is about to be sent; End must follow.
func (t *Target) Begin() {
	t.busy.Add(1)
	if t.replica != nil {
		t.replica.Busy.Add(1)
	}
}

// End counts a request that has ended, with its whole answer. It failed if there was no connection or no whole answer; a status of 502, 503
// or 504 counts as a failure by itself. Status is 0 without an answer, which without failure (the client went away) says nothing of
// the target. Took is the time since Begin.
func (t *Target) End(failed bool, status int, took time.Duration) {
	t.busy.Add(-1)
	if t.replica != nil {
		t.replica.Busy.Add(-1)
	}
	failed = failed || status >= 502 && status <= 504
	t.load.count(failed, status, took)
	u := t.upstream
	switch {
	case failed:
		if n := t.fails.Add(1); u.cfg.Eject.Failures > 0 && int(n) >= u.cfg.Eject.Failures {
			u.eject(t, int(n), status)
		}
	case status != 0 && t.fails.Load() != 0:
		t.fails.Store(0)
	}
	if u.cfg.Breaker.Ratio > 0 && (failed || status != 0) && u.breaker.ended(failed, u.record) {
		u.opened()
	}
}

// Busy is the number of requests under way.
func (t *Target) Busy() int64 { return t.busy.Load() }

// share is the part of its weight that the target gets, 1 but for the time after it came back.
func (t *Target) share() float64 {
	from := t.slow.Load()
	if from == 0 {
		return 1
	}
	part := float64(time.Since(t.upstream.set.epoch)-time.Duration(from)) / float64(t.upstream.cfg.Eject.SlowStart)
	if part >= 1 {
		t.slow.CompareAndSwap(from, 0)
		return 1
	}
	return max(part, 0.01)
}

// passes tells by chance whether a target that came back takes a request already.
func (t *Target) passes() bool {
	if t.slow.Load() == 0 {
		return true
	}
	return rand.Float64() < t.share()
}

// back lets the share of the target grow from nothing.
func (t *Target) back() {
	if t.upstream.cfg.Eject.SlowStart > 0 {
		t.slow.Store(max(1, int64(time.Since(t.upstream.set.epoch))))
	}
}

// close lets go of connections, those of requests under way when they end, and of what the target counts in.
func (t *Target) close() {
	t.stop()
	t.closeIdle()
	t.upstream.record.drop(t.name)
}

// closeIdle closes the connections that wait for a request. Requests that come nevertheless are served.
func (t *Target) closeIdle() {
	t.client.Close()
	if c, ok := t.transport().(interface{ CloseIdleConnections() }); ok && t.upstream.cfg.Protocol == "h2" {
		c.CloseIdleConnections()
	}
}

func tried(list []*Target, t *Target) bool { return len(list) > 0 && slices.Contains(list, t) }
