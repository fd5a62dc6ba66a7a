package edge

import (
	"context"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/access"
	"github.com/headrace/headrace/internal/edge/match"
	"github.com/headrace/headrace/internal/exchange"
)

// Gateway makes what routes need beyond functions and files: actions that ask others, and policies.
type Gateway interface {
	// Prepare opens what a configuration asks for, and changes nothing that is in force.
	Prepare(ctx context.Context, c *config.Config) (Plan, error)
}

// Plan is the part of the gateway for one configuration. It is either committed or discarded; a committed one is used until another is.
type Plan interface {
	// Handler makes the action of a route; nil for one that is not the gateway's.
	Handler(r *config.Route) (exchange.Handler, error)
	// Policies are those around a route, the outermost first, and what answers CORS preflights; nil if pages of other hosts may not ask. The
	// scope is the route's alone, and stays over changes of the configuration.
	Policies(r *config.Route, p *config.Policy, scope string) (list []exchange.Policy, preflight exchange.Handler, err error)
	// Chances are the upstreams that the split of a route may choose for a request.
	Chances(r *config.Route, request *exchange.Request) ([]exchange.Chance, error)
	// Check tells why proxy or split of a route do not pass a request on; nil if they do. Nobody is asked.
	Check(r *config.Route, request *exchange.Request) error
	// Publish makes the handlers of one OpenAPI document of all routes, and of a page that shows it, at its own path.
	Publish(path string, routes []exchange.Published) (document, page exchange.Handler, pagePath string, err error)
	Commit()
	Discard()
}

// route is one way into headrace.
type route struct {
	place     string // where it was declared
	key       string // of the configuration, as in routes[2]; empty for one that no file declares
	title     string
	action    string // as the configuration names it, or own for a route of headrace itself
	target    string // function, folder, upstream or address
	rule      match.Rule
	chain     *exchange.Chain
	sections  []string                                           // of its policy
	off       []string                                           // of its policy, which hold elsewhere
	chances   func(*exchange.Request) ([]exchange.Chance, error) // of a split; nil for others
	check     func(*exchange.Request) error                      // why a proxy or a split does not pass a request on; nil for others
	preflight exchange.Handler
	record    *config.Access // how it is logged; nil is not at all
	traffic   *traffic
}

// Route is what operators see of a route.
type Route struct {
	Title   string            `json:"title"`
	Match   string            `json:"match"`
	Methods []string          `json:"methods"` // or *
	Hosts   []string          `json:"hosts,omitempty"`
	Header  map[string]string `json:"header,omitempty"`
	Query   map[string]string `json:"query,omitempty"`
	Action  string            `json:"action"`
	Target  string            `json:"target,omitempty"`
	Place   string            `json:"place"`

	Policies []string `json:"policies,omitempty"` // sections that hold, whoever says so
	Off      []string `json:"off,omitempty"`      // sections that are switched off
}

func (r *route) view() Route {
	return Route{Title: r.title, Match: r.rule.Path, Methods: r.rule.Methods, Hosts: r.rule.Hosts, Header: r.rule.Header, Query: r.rule.Query,
		Action: r.action, Target: r.target, Place: r.place, Policies: r.sections, Off: r.off}
}

// asPreflight is the route of a CORS preflight.
type asPreflight struct{ *route }

// admit finds the route and asks it, before the body is there.
func (s *Server) admit(r *exchange.Request) error {
	t := s.table.Load()
	if r.IsOptions() && t.preflights {
		if method := r.Request.Header.Peek("Access-Control-Request-Method"); len(method) > 0 {
			if found, _, err := t.routes.Find(&r.Request, method, r.Path(), &r.Params); err == nil && found.preflight != nil {
				r.Route = asPreflight{found}
				return nil
			}
		}
	}
	found, allow, err := t.routes.Find(&r.Request, r.Method(), r.Path(), &r.Params)
	if err != nil {
		if allow != "" {
			r.Response.Header.Set("Allow", allow)
		}
		return err
	}
	r.Route = found
	if err := s.sameRoute(t, r, found); err != nil {
		return err
	}
	return found.chain.Admit(r)
}

func (s *Server) serve(r *exchange.Request) error {
	switch found := r.Route.(type) {
	case *route:
		return found.chain.Serve(r)
	case asPreflight:
		return found.preflight(r)
	}
	return nil // admitted requests have a route
}

// finish completes the answer, and tells of it.
func (s *Server) finish(r *exchange.Request) {
	found, ok := r.Route.(*route)
	if !ok {
		s.unmatched.observe(r)
		s.access.Tell(r, "none", s.table.Load().record)
		return
	}
	found.chain.Finish(r)
	found.traffic.observe(r)
	if found.record != nil || s.access.Followed() {
		s.access.Tell(r, found.title, found.record)
	}
}

// broken tells of what could not be read as a request, which no route is asked for.
func (s *Server) broken(r *exchange.Request) { s.access.Broken(r, s.table.Load().record) }

// Routes are all routes, in the order of declaration.
func (s *Server) Routes() []Route {
	var list []Route
	s.table.Load().routes.All(func(_ match.Rule, r *route) { list = append(list, r.view()) })
	return list
}

// Follow begins to follow the requests of all routes.
func (s *Server) Follow(waiting int) *access.Follower { return s.access.Follow(waiting) }
