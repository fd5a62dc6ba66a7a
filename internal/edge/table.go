package edge

import (
	"fmt"
	"strings"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
)

// table is a compiled set of routes; it is replaced, never changed.
type table struct {
	routes exchange.Routes[*route]
}

// route is one way into headrace.
type route struct {
	place string // where it was declared
	admit func(*exchange.Request) error
	serve func(*exchange.Request) error
}

// build compiles the routes. Those of the configuration come first, then those of the functions in order of their names; one that takes
// the requests of another is a problem that names both places, and is left out.
func (s *Server) build() (*table, []*problem.Error) {
	t := &table{}
	var problems []*problem.Error
	add := func(method, pattern string, r *route) {
		other, err := t.routes.Add(method, pattern, r)
		switch {
		case err == nil:
		case other != nil:
			problems = append(problems, problem.New("HR9003", "route %s %s is declared at %s and at %s", method, pattern, other.place, r.place).
				At(r.place).Hinting("change one of the two"))
		default:
			problems = append(problems, problem.New("HR9003", "route %s %s: %w", method, pattern, err).At(r.place).
				Hinting("write a path such as /reports/{id}, or /files/* for all that is below"))
		}
	}
	s.addFollow(add)
	if s.live != nil {
		r := &route{place: "live", admit: func(*exchange.Request) error { return nil }, serve: s.live.Serve}
		for _, method := range []string{"GET", "POST", "OPTIONS"} {
			add(method, s.live.Prefix()+"/*", r)
		}
	}
	for i := range s.declared.Routes {
		c := &s.declared.Routes[i]
		r := &route{place: s.place(i)}
		name := c.Job + c.Call
		switch fn := s.Functions.Find(name); {
		case c.Static != "":
			f := s.folders[c.Static]
			if f == nil { // functions changed before Start
				continue
			}
			prefix := len(strings.TrimSuffix(c.Match, "*"))
			r.admit = func(*exchange.Request) error { return nil }
			r.serve = func(r *exchange.Request) error { return f.serve(r, prefix) }
		case fn == nil: // of an app that is broken right now
			r.admit = func(*exchange.Request) error { _, err := s.Functions.Get(name); return err }
		case (c.Job != "") == (fn.Kind == functions.Call), c.Call != "" && fn.Kind == functions.Job:
			problems = append(problems, problem.New("HR9003", "%s is a %s", name, fn.Kind).At(r.place).Hinting("write %s: %s", fn.Kind, name))
			continue
		default:
			if err := s.bind(r, fn, c.Match, c.Job != ""); err != nil {
				problems = append(problems, problem.From(err))
				continue
			}
		}
		for _, method := range c.Verbs() {
			if method != "HEAD" {
				add(method, c.Match, r)
			}
		}
	}
	for _, fn := range s.Functions.All() {
		if fn.Options.Route == "" {
			continue
		}
		r := &route{place: fmt.Sprintf("function %s of pool %s", fn.Name, fn.Pool.Name())}
		method, pattern, ok := strings.Cut(strings.TrimSpace(fn.Options.Route), " ")
		if !ok {
			method, pattern = "POST", method
		}
		err := s.bind(r, fn, strings.TrimSpace(pattern), fn.Kind == functions.Job)
		if err != nil {
			problems = append(problems, problem.From(err))
			continue
		}
		add(strings.ToUpper(method), strings.TrimSpace(pattern), r)
	}
	return t, problems
}

// place is where a route of the configuration stands.
func (s *Server) place(i int) string {
	at := fmt.Sprintf("routes[%d]", i)
	if origin := s.declared.Origin(at + ".match"); origin != "default" {
		return origin
	}
	return at
}

// bind lets a route lead to a function.
func (s *Server) bind(r *route, fn *functions.Function, pattern string, job bool) error {
	shape, err := exchange.NewShape(fn.Args)
	if err != nil {
		return problem.New("HR9003", "route to %s: %w", fn.Name, err).At(r.place)
	}
	d := &door{server: s, fn: fn, shape: shape}
	for segment := range strings.SplitSeq(pattern, "/") {
		name, ok := strings.CutPrefix(segment, "{")
		if !ok {
			continue
		}
		name = strings.TrimSuffix(name, "}")
		if !fn.Takes(name) {
			return problem.New("HR9003", "route %s has the parameter %s, and %s has no such argument", pattern, name, fn.Name).At(r.place).
				Hinting("name the parameters of the path like arguments of the function")
		}
		d.params = append(d.params, name)
	}
	if job {
		r.admit, r.serve = d.admitJob, d.job
	} else {
		r.admit, r.serve = d.admitCall, d.call
	}
	return nil
}
