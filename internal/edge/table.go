package edge

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/match"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
)

// table is a compiled set of routes; it is replaced, never changed.
type table struct {
	routes     match.Table[*route]
	preflights bool           // some route answers those of CORS
	record     *config.Access // how requests without a route are logged; nil is not at all
}

// builder makes a table for a configuration and its plan.
type builder struct {
	*Server
	config   *config.Config
	plan     Plan
	table    *table
	scopes   map[string]int // how many routes have a title
	list     []exchange.Published
	problems []*problem.Error
}

// build compiles the routes. Those of headrace itself come first, then those of the configuration, then those of the functions in order of
// their names; one that takes the requests of another is a problem that names both places, and is left out.
func (s *Server) build(c *config.Config, plan Plan) (*table, []*problem.Error) {
	b := &builder{Server: s, config: c, plan: plan, table: &table{record: c.Log.Access}, scopes: map[string]int{}}
	b.own()
	for i := range c.Routes {
		b.declared(&c.Routes[i], fmt.Sprintf("routes[%d]", i))
	}
	for _, fn := range s.Functions.All() {
		if fn.Options.Route != "" {
			b.function(fn)
		}
	}
	b.publish()
	return b.table, b.problems
}

// own are the routes of headrace itself: the pages of jobs and the live plane.
func (b *builder) own() {
	add := func(method, pattern, target string, serve exchange.Handler) {
		b.add("headrace", method, pattern, target, serve)
	}
	b.addFollow(add)
	if b.live != nil {
		b.put(&config.Route{Name: "live", Match: b.live.Prefix() + "/*", Methods: []string{"GET", "POST", "OPTIONS"}},
			&route{place: "headrace", action: "own", target: "live"}, b.aroundLive(), exchange.Policy{}, b.live.Serve)
	}
}

// aroundLive is the policy of live connections. Who shows nothing goes on, since the plane has tokens of its own.
func (b *builder) aroundLive() *config.Policy {
	names := b.live.Policies()
	policy := b.config.PolicyNamed(names...)
	policy.OpenAPI, policy.Cache = nil, nil
	switch {
	case len(names) == 0:
		policy.Auth = nil
	case policy.Auth != nil:
		auth := *policy.Auth
		auth.Optional = true
		policy.Auth = &auth
	}
	return &policy
}

// add adds a route of headrace itself. It knows its clients by tokens of its own, or shows the same to all.
func (b *builder) add(place, methods, pattern, target string, serve exchange.Handler) {
	policy := b.config.PolicyNamed()
	policy.Auth, policy.OpenAPI, policy.Cache = nil, nil, nil
	c := &config.Route{Name: target, Match: pattern, Methods: strings.Split(methods, ",")}
	b.put(c, &route{place: place, action: "own", target: target}, &policy, exchange.Policy{}, serve)
}

// publish adds the document of all routes.
func (b *builder) publish() {
	path := b.config.Server.OpenAPI
	if path == "" || b.plan == nil {
		return
	}
	document, page, pagePath, err := b.plan.Publish(path, b.list)
	if err != nil {
		b.refuse(b.at(err, &route{place: "server.openapi"}, nil))
		return
	}
	b.add("server.openapi", "GET", path, "openapi", document)
	b.add("server.openapi", "GET", pagePath, "openapi", page)
}

// logins adds the pages of a login, which its policy answers.
func (b *builder) logins(c *config.Route, place string, policy *config.Policy) {
	for _, path := range policy.Auth.Paths() {
		login := &config.Route{Name: "login", Match: path, Methods: []string{"GET", "POST"}, Hosts: c.Hosts}
		around := &config.Policy{Auth: policy.Auth, Allow: policy.Allow, Deny: policy.Deny, Secure: policy.Secure, Access: policy.Access}
		r := &route{place: place, action: "login", target: "login"}
		if known := b.put(login, r, around, exchange.Policy{}, func(*exchange.Request) error { return problem.New("HR1001", "no route for %.200s", path) }); !known {
			return
		}
	}
}

// declared adds a route of the configuration.
func (b *builder) declared(c *config.Route, key string) {
	place := b.config.Origin(key + ".match")
	if place == "default" {
		place = key
	}
	r := &route{place: place, key: key, action: c.Actions()[0]}
	policy := b.config.PolicyOf(c)
	told := exchange.Published{Route: c, Policy: &policy, Job: c.Job != ""}
	last := exchange.Policy{}
	var serve exchange.Handler
	switch r.action {
	case "static":
		r.target = c.Static
		f := b.folders[c.Static]
		if f == nil { // functions changed before Start
			return
		}
		prefix := len(strings.TrimSuffix(c.Match, "*"))
		serve = func(r *exchange.Request) error { return f.serve(r, prefix, c.Fallback) }
	case "job", "call":
		r.target = c.Job + c.Call
		fn := b.Functions.Find(r.target)
		switch {
		case fn == nil: // of an app that is broken right now
			last.Admit = func(*exchange.Request) error { _, err := b.Functions.Get(r.target); return err }
		case (c.Job != "") == (fn.Kind == functions.Call), c.Call != "" && fn.Kind == functions.Job:
			b.refuse(b.at(problem.New("HR9003", "%s is a %s", r.target, fn.Kind).Of(r.action).Hinting("write %s: %s", fn.Kind, r.target), r, c))
			return
		default:
			var err error
			told.Function = fn
			if last.Admit, serve, err = b.bind(r, fn, c.Match, c.Job != ""); err != nil {
				b.refuse(problem.From(err))
				return
			}
		}
	default:
		r.target = target(c)
		if b.plan == nil { // functions changed before Start
			return
		}
		var err error
		if serve, err = b.plan.Handler(c); err != nil {
			b.refuse(b.at(err, r, c))
			return
		}
		plan := b.plan
		if c.Proxy != "" || len(c.Split) > 0 {
			r.check = func(request *exchange.Request) error { return plan.Check(c, request) }
		}
		if len(c.Split) > 0 {
			r.chances = func(request *exchange.Request) ([]exchange.Chance, error) { return plan.Chances(c, request) }
		}
	}
	b.put(c, r, &policy, last, serve)
	b.list = append(b.list, told)
	b.logins(c, place, &policy)
}

// target is where a route of the gateway leads, for people.
func target(c *config.Route) string {
	switch {
	case c.Merge != nil:
		return fmt.Sprintf("%d parts", len(c.Merge.Parts))
	case c.Respond != nil:
		return fmt.Sprint(c.Respond.Status)
	}
	var shares []string
	for _, s := range c.Split {
		shares = append(shares, fmt.Sprintf("%s %d", s.Upstream, s.Weight))
	}
	return c.Proxy + c.Redirect + strings.Join(shares, ", ")
}

// methods are those of the rule; that HEAD is answered by GET is the table's matter.
func methods(c *config.Route) []string {
	var list []string
	for _, method := range c.Verbs() {
		if method == "HEAD" && c.Static != "" {
			continue
		}
		list = append(list, method)
	}
	return list
}

// function adds the route that a function declares.
func (b *builder) function(fn *functions.Function) {
	method, pattern, ok := strings.Cut(strings.TrimSpace(fn.Options.Route), " ")
	if !ok {
		method, pattern = "POST", method
	}
	c := &config.Route{Name: fn.Name, Match: strings.TrimSpace(pattern), Methods: []string{strings.ToUpper(method)}, Policies: fn.Options.Policies}
	r := &route{place: fmt.Sprintf("function %s of pool %s", fn.Name, fn.Pool.Name()), action: fn.Kind, target: fn.Name}
	for _, name := range fn.Options.Policies {
		if b.config.Policies[name] == nil {
			b.refuse(problem.New("HR9003", "%s names the policy %s, which is not there", fn.Name, name).At(r.place).Hinting("add it below policies in the configuration"))
			return
		}
	}
	policy := b.config.PolicyNamed(fn.Options.Policies...)
	job := fn.Kind == functions.Job
	admit, serve, err := b.bind(r, fn, c.Match, job)
	if err != nil {
		b.refuse(problem.From(err))
		return
	}
	b.put(c, r, &policy, exchange.Policy{Admit: admit}, serve)
	b.list = append(b.list, exchange.Published{Route: c, Policy: &policy, Function: fn, Job: job})
	b.logins(c, r.place, &policy)
}

// put completes a route and puts it into the table. It tells whether it is there.
func (b *builder) put(c *config.Route, r *route, p *config.Policy, last exchange.Policy, serve exchange.Handler) bool {
	r.title = c.Title()
	r.rule = match.Rule{Methods: methods(c), Hosts: c.Hosts, Path: c.Match, Header: c.Header, Query: c.Query}
	scope := r.title
	if b.scopes[r.title]++; b.scopes[r.title] > 1 {
		scope = fmt.Sprintf("%s#%d", r.title, b.scopes[r.title])
	}
	var list []exchange.Policy
	if b.plan != nil {
		var err error
		if list, r.preflight, err = b.plan.Policies(c, p, scope); err != nil {
			b.refuse(b.at(err, r, c))
			return false
		}
	}
	r.chain = exchange.NewChain(serve, append(list, last)...)
	r.traffic = b.trafficOf(r.title)
	r.sections, r.off = p.Sections()
	if r.record = p.Access; r.record == nil && !slices.Contains(r.off, "access") {
		r.record = b.config.Log.Access
	}
	var taken *match.Taken[*route]
	switch err := b.table.routes.Add(r.rule, r); {
	case err == nil:
		b.table.preflights = b.table.preflights || r.preflight != nil
		return true
	case errors.As(err, &taken):
		if r.action == "login" && taken.Other.action == "login" { // of several routes with the same login
			return true
		}
		b.refuse(b.at(problem.New("HR9003", "route %s %s is declared at %s and at %s", strings.Join(r.rule.Methods, ","), r.rule.Path, taken.Other.place, r.place).
			Hinting("change one of the two"), r, c))
	default:
		b.refuse(b.at(problem.New("HR9003", "route %s: %w", r.rule.Path, err).Hinting("write a path such as /reports/{id}, or /files/* for all that is below"), r, c))
	}
	return false
}

func (b *builder) refuse(p *problem.Error) { b.problems = append(b.problems, p) }

// at is a problem with a route, with the place of the key that is wrong, or else that of the route.
func (b *builder) at(err error, r *route, c *config.Route) *problem.Error {
	p := problem.From(err)
	if p.Code == "HR7004" {
		p = problem.New("HR9003", "%w", err)
	}
	if p.Where == "" {
		p.Where = b.config.Where(cmp.Or(b.key(p, r, c), r.place))
	}
	return p
}

// key is that of the configuration that a problem is about; empty for a route that no file declares.
func (b *builder) key(p *problem.Error, r *route, c *config.Route) string {
	switch {
	case p.Key != "" && c != nil:
		return b.config.KeyOf(c, r.key, p.Key)
	case r.key != "":
		return r.key + ".match"
	}
	return ""
}

// trafficOf are the figures of the routes with a title.
func (s *Server) trafficOf(title string) *traffic {
	t := s.traffics[title]
	if t == nil {
		t = newTraffic(title)
		s.traffics[title] = t
	}
	return t
}

// bind lets a route lead to a function.
func (s *Server) bind(r *route, fn *functions.Function, pattern string, job bool) (admit func(*exchange.Request) error, serve exchange.Handler, err error) {
	shape, err := exchange.NewShape(fn.Args)
	if err != nil {
		return nil, nil, problem.New("HR9003", "route to %s: %w", fn.Name, err).At(r.place)
	}
	d := &door{server: s, fn: fn, shape: shape}
	for segment := range strings.SplitSeq(pattern, "/") {
		name, ok := strings.CutPrefix(segment, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		if !fn.Takes(name) {
			return nil, nil, problem.New("HR9003", "route %s has the parameter %s, and %s has no such argument", pattern, name, fn.Name).At(r.place).
				Hinting("name the parameters of the path like arguments of the function")
		}
		d.params = append(d.params, name)
	}
	if job {
		return d.admitJob, d.job, nil
	}
	return d.admitCall, d.call, nil
}
