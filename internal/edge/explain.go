package edge

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// Explanation is which route answers a request, and why no other does.
type Explanation struct {
	Route  *Route   `json:"route"` // nil if none does; with a problem it is the one that would
	Params []string `json:"params,omitempty"`
	// Upstreams are those that its split may choose, and why; nil for other actions.
	Upstreams  []exchange.Chance `json:"upstreams,omitempty"`
	Problem    *problem.Error    `json:"-"` // why none does, or the target is refused
	Considered []Considered      `json:"considered"`
}

// Considered is a route that does not answer.
type Considered struct {
	Route Route  `json:"route"`
	Why   string `json:"why"`
}

// Explain tells which route answers a request with these headers. The address may leave out scheme and host. HR1015 is for what is no request.
func (s *Server) Explain(method, address string, headers map[string]string) (*Explanation, error) {
	r, err := newRequest(method, address, headers)
	if err != nil {
		return nil, err
	}
	if err := exchange.Check(r); err != nil {
		return &Explanation{Problem: problem.From(err), Considered: []Considered{}}, nil
	}
	asked, done := s.pretend(r)
	defer done()
	t := s.table.Load()
	e, found := t.explain(r, &asked.Params)
	if found == nil {
		return e, nil
	}
	if refused := s.refuses(t, asked, found); refused != nil {
		e.Problem = problem.From(refused)
		return e, nil
	}
	if found.chances != nil {
		e.Upstreams, err = found.chances(asked)
	}
	return e, err
}

// refuses is why the route that was found does not take a request, its policies left aside.
func (s *Server) refuses(t *table, r *exchange.Request, found *route) error {
	if err := s.sameRoute(t, r, found); err != nil || found.check == nil {
		return err
	}
	return found.check(r)
}

// pretend makes an exchange of a request that nobody has sent; done lets go of it.
func (s *Server) pretend(request *fasthttp.Request) (r *exchange.Request, done func()) {
	var ctx fasthttp.RequestCtx
	ctx.Init(request, net.TCPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:1")), nil)
	r = s.door.Server.Acquire(&ctx)
	return r, r.Release
}

// explain also returns the route that answers, nil if none does, and fills params.
func (t *table) explain(r *fasthttp.Request, params *[8][]byte) (*Explanation, *route) {
	method, path := r.Header.Method(), r.URI().Path()
	found, _, err := t.routes.Find(r, method, path, params)
	e := &Explanation{Considered: []Considered{}}
	if err != nil {
		e.Problem, found = problem.From(err), nil
	} else {
		view := found.view()
		e.Route = &view
		for _, p := range params {
			if p != nil {
				e.Params = append(e.Params, string(p))
			}
		}
	}
	for _, c := range t.routes.Explain(r, method, path) {
		if c.Value == found {
			continue
		}
		if c.Why == "" {
			c.Why = "another is more specific"
		}
		e.Considered = append(e.Considered, Considered{c.Value.view(), c.Why})
	}
	return e, found
}

// newRequest makes a request of a method, an address and headers.
func newRequest(method, address string, headers map[string]string) (*fasthttp.Request, error) {
	u, err := url.Parse(address)
	if err != nil || method == "" || strings.Trim(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") != "" || !strings.HasPrefix(u.EscapedPath(), "/") {
		return nil, problem.New("HR1015", "%.20q %.200q is not a request", method, address)
	}
	r := &fasthttp.Request{}
	r.Header.SetMethod(method)
	r.SetRequestURI(written(address, u))
	r.Header.SetHost("localhost")
	if u.Host != "" {
		r.Header.SetHost(u.Host)
	}
	for name, value := range headers {
		r.Header.Set(name, value)
	}
	return r, nil
}

// written is the path and the query of an address as they are written, since the way of writing may be refused.
func written(address string, u *url.URL) string {
	text, _, _ := strings.Cut(address, "#")
	if u.Host == "" {
		return text
	}
	_, text, _ = strings.Cut(text, "//")
	return text[strings.IndexByte(text, '/'):] // there is one, since the path begins with it
}
