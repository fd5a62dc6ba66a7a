// Package proxy passes requests on to upstreams: the actions proxy and split of routes.
package proxy

import (
	"log/slog"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/problem"
)

// Deps is what the routes of an edge share.
type Deps struct {
	Log     *slog.Logger
	Metrics *Metrics
	// MaxBody is the most bytes of a request body of this route.
	MaxBody int64
	// Protected are the headers of requests that policies of this route write, such as those made from claims. A client cannot have them
	// removed by Connection, nor shadow them by underscores.
	Protected []string
}

// New is the action proxy or split of a route. edit is that of its policy, nil without; find gives upstreams by name. The error is HR9003.
func New(c *config.Route, edit *config.Edit, find func(name string) *balance.Upstream, d Deps) (exchange.Handler, error) {
	p := &proxy{log: d.Log, metrics: d.Metrics, maxBody: d.MaxBody, hints: hintsOf(edit)}
	var err error
	if p.heads, err = newHeads(c, edit, d.Protected); err != nil {
		return nil, err
	}
	if c.Proxy != "" {
		if p.only, err = newWay(c.Proxy, find); err != nil {
			return nil, err
		}
	} else if p.split, err = newSplit(c.Split, find); err != nil {
		return nil, err
	}
	if c.Mirror != "" {
		to, err := newWay(c.Mirror, find)
		if err != nil {
			return nil, err
		}
		p.mirror = newMirror(to, d.Metrics)
	}
	return p.serve, nil
}

type proxy struct {
	heads   *heads
	only    *way // nil with split
	split   *split
	mirror  *mirror // nil without
	log     *slog.Logger
	metrics *Metrics
	maxBody int64
	hints   []string // headers of answers of status 103 that go on
}

// serve passes a request on.
func (p *proxy) serve(r *exchange.Request) error {
	to := p.only
	var share *share
	if to == nil {
		share = p.split.choose(r)
		to = share.way
	}
	var err error
	if to.h2 {
		err = p.serveH2(r, to)
	} else {
		err = p.serveH1(r, to)
	}
	if share != nil && share.sticky != "" && err == nil {
		share.stick(r)
	}
	return err
}

// serveH1 passes a request on in HTTP/1.1.
func (p *proxy) serveH1(r *exchange.Request, to *way) error {
	x := passages.Get().(*passage)
	x.proxy, x.way, x.resp = p, to, &r.Response
	if err := p.heads.compose(&x.head, r); err != nil {
		x.release()
		return err
	}
	if err := x.prepare(r); err != nil {
		x.release()
		return err
	}
	if p.mirror != nil {
		p.mirror.send(x, r)
	}
	if err := x.ask(r); err != nil {
		x.release()
		return err
	}
	switch call := &x.call; {
	case call.Tunnel != nil:
		x.tunnel(r)
		x.release()
	case call.Stream != nil:
		x.stream(r)
	default:
		x.release()
	}
	return nil
}

// way is a route to an upstream with what of its configuration the proxy needs.
type way struct {
	*balance.Upstream
	h2       bool
	total    time.Duration
	idle     time.Duration
	header   time.Duration
	attempts int
	on       conditionsOfRetry
	methods  map[string]bool // that may be sent twice
	hash     func(*exchange.Request) uint64
	warned   warned
}

func newWay(name string, find func(string) *balance.Upstream) (*way, error) {
	u := find(name)
	if u == nil {
		return nil, problem.New("HR9003", "there is no upstream %q", name).Hinting("add it below upstreams")
	}
	c := u.Config()
	w := &way{Upstream: u, h2: c.Protocol == "h2", total: c.Timeout.Total, idle: c.Timeout.Idle, header: c.Timeout.Header, attempts: c.Retry.Attempts, methods: map[string]bool{}}
	for _, method := range c.Retry.Methods {
		w.methods[method] = true
	}
	w.on = newConditions(c.Retry.On)
	if c.Balance == "hash" {
		w.hash = hasher(c.HashBy)
	}
	return w, nil
}
