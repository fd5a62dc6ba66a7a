// Package merge is the action of routes that make one JSON answer of several, which upstreams and functions give at the same time.
package merge

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// Deps are what parts are asked through.
type Deps struct {
	Find    func(name string) *balance.Upstream
	Call    func(ctx context.Context, name string, args []byte, caller identity.Caller) ([]byte, error)
	Server  *config.Server // bounds what functions are told of who asks
	Metrics *Metrics       // nil counts for nobody
	Log     *slog.Logger
}

// Complete is the header that tells whether all parts are in the answer.
const Complete = "X-Headrace-Complete"

// Merge is the action of one route.
type Merge struct {
	deps    Deps
	title   string
	timeout time.Duration
	headers []string
	query   map[string]bool
	errors  []byte // name of the member; nil for none
	most    int64
	params  int
	parts   []*part
}

// New makes the action: HR9003 if the route has no merge that can be asked.
func New(c *config.Route, d Deps) (exchange.Handler, error) {
	m := &Merge{deps: d, title: c.Title(), timeout: c.Merge.Timeout, headers: c.Merge.Headers, most: int64(c.Merge.MaxPart)}
	if len(m.headers) == 0 {
		m.headers = passed
	}
	if c.Merge.Errors != "" {
		m.errors = []byte(c.Merge.Errors)
	}
	if len(c.Merge.Query) > 0 {
		m.query = map[string]bool{}
		for _, name := range c.Merge.Query {
			m.query[name] = true
		}
	}
	if m.deps.Metrics == nil {
		m.deps.Metrics = NewMetrics()
	}
	params := config.Params(c.Match)
	m.params = min(len(params), len(exchange.Request{}.Params))
	names := make([]string, len(c.Merge.Parts))
	for i := range c.Merge.Parts {
		names[i] = c.Merge.Parts[i].Title()
	}
	for i := range c.Merge.Parts {
		p, err := newPart(&c.Merge.Parts[i], params, names, d.Find)
		if err != nil {
			return nil, err
		}
		slices.Sort(p.waits)
		p.waits = slices.Compact(p.waits)
		p.count = m.deps.Metrics.of(m.title, p.title)
		m.parts = append(m.parts, p)
	}
	for i, p := range m.parts {
		for _, j := range p.waits {
			m.parts[j].needed = append(m.parts[j].needed, i)
		}
	}
	if !m.ends() {
		return nil, problem.New("HR9003", "parts of %s wait for each other", m.title)
	}
	return m.serve, nil
}

// ends tells whether every part is asked at some time.
func (m *Merge) ends() bool {
	asked := map[int]bool{}
	for before := -1; before < len(asked); {
		before = len(asked)
		for i, p := range m.parts {
			if !slices.ContainsFunc(p.waits, func(j int) bool { return !asked[j] }) {
				asked[i] = true
			}
		}
	}
	return len(asked) == len(m.parts)
}

func (m *Merge) serve(r *exchange.Request) error {
	g := &run{
		shared: m.newShared(r), merge: m, request: r, done: make(chan outcome, len(m.parts)), deadline: time.Now().Add(m.timeout),
		left: len(m.parts), parts: make([]progress, len(m.parts)),
	}
	defer g.release()
	if f := g.ask(); f != nil {
		return m.refuse(r, g, f)
	}
	m.answer(r, g)
	return nil
}

// refuse answers for a part that there is no answer without. What the client did wrong it is told by the part itself:
// that of a function is in f.
func (m *Merge) refuse(r *exchange.Request, g *run, f *fail) error {
	a := &g.parts[f.part].reply
	if a.status < 400 || a.status > 499 || a.response == nil {
		return f.err
	}
	r.Response.SetStatusCode(a.status)
	for _, name := range [...]string{"Content-Type", "Content-Encoding", "Www-Authenticate", "Retry-After"} {
		if value := a.header(name); value != "" {
			r.Response.Header.Set(name, value)
		}
	}
	r.Response.Header.Set("Cache-Control", "no-store")
	r.Response.SetBody(a.body)
	return nil
}

// answer puts the parts together.
func (m *Merge) answer(r *exchange.Request, g *run) {
	var d document
	age := newFresh()
	complete := "true"
	h := &r.Response.Header
	for i := range g.parts {
		at := &g.parts[i]
		if at.state == failed {
			complete = "false"
			continue
		}
		for _, one := range at.members {
			d.set(one)
		}
		age.add(at.reply.header("Cache-Control"), at.reply.header("Age"))
		if vary := at.reply.header("Vary"); vary != "" {
			h.Add("Vary", vary)
		}
	}
	cache := age.header()
	if complete == "false" {
		cache = "no-store"
		if m.errors != nil {
			d.set(member{m.errors, m.failures(g)})
		}
	}
	if cache != "" {
		h.Set("Cache-Control", cache)
	}
	h.Set(Complete, complete)
	h.SetContentType("application/json")
	r.Response.SwapBody(d.append(r.Response.SwapBody(nil)[:0]))
}

// failures tells why parts are not there.
func (m *Merge) failures(g *run) []byte {
	b := []byte{'{'}
	for i := range g.parts {
		if g.parts[i].state != failed {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		p := problem.From(g.parts[i].err)
		b = append(append(b, m.parts[i].quoted...), `:{"code":"`...)
		b = append(append(b, p.Code...), `","detail":`...)
		b = append(strictjson.AppendText(b, p.What), '}')
	}
	return append(b, '}')
}
