package edge

import (
	"fmt"
	"log/slog"
	"maps"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Check compiles the routes of a configuration and tries the tests that stand beside them, without listening and without functions. It
// returns how many tests there are, and what is wrong: HR9003, HR9008 for each test that failed.
func Check(c *config.Config, g Gateway, log *slog.Logger) (tests int, wrong []*problem.Error) {
	s := New(Deps{Config: c, Functions: functions.NewRegistry(), Health: observe.NewHealth(log), Log: log, Gateway: g})
	defer s.access.Close()
	if err := s.Configure(c); err != nil {
		return 0, []*problem.Error{problem.From(err)}
	}
	for i := range c.Routes {
		for j := range c.Routes[i].Tests {
			tests++
			if what := s.try(&c.Routes[i], &c.Routes[i].Tests[j]); what != "" {
				key := fmt.Sprintf("routes[%d].tests[%d]", i, j)
				wrong = append(wrong, problem.New("HR9008", "%s: %s", c.Routes[i].Tests[j].Request, what).At(c.Where(key)))
			}
		}
	}
	for _, f := range s.folders {
		_ = f.root.Close()
	}
	return tests, wrong
}

// try sends one request through the routes; it returns what is not as expected.
func (s *Server) try(declared *config.Route, test *config.RouteTest) string {
	method, address, _ := strings.Cut(test.Request, " ")
	request, err := newRequest(method, address, test.Headers)
	if err != nil {
		return problem.From(err).What
	}
	r, done := s.pretend(request)
	defer done()
	if err = exchange.Check(request); err == nil {
		err = s.admit(r)
	}
	title, action := "none", ""
	switch found := r.Route.(type) {
	case *route:
		title, action = found.title, found.action
		if err == nil && found.check != nil {
			err = found.check(r)
		}
	case asPreflight:
		title, action = found.title, "respond"
	}
	expected := test.Route
	if expected == "" {
		expected = declared.Title()
	}
	if title != expected {
		return fmt.Sprintf("the route is %s, not %s", title, expected)
	}
	headers := maps.Clone(test.Expect)
	if want, ok := headers[config.ExpectedUpstream]; ok {
		delete(headers, config.ExpectedUpstream)
		if what := s.reaches(r, want); what != "" {
			return what
		}
	}
	if test.Status == 0 && len(headers) == 0 {
		return ""
	}
	asked := map[string]bool{"proxy": true, "split": true, "merge": true}[action] && err == nil
	if asked || r.Code == "HR2003" || err != nil && problem.From(err).Code == "HR2003" {
		return "its answer comes from somebody who is not asked here; expect no status and no headers"
	}
	if err == nil {
		err = s.serve(r)
	}
	if err != nil && err != exchange.Answered {
		r.Problem(err)
	}
	s.finish(r)
	if got := r.Response.StatusCode(); test.Status != 0 && got != test.Status {
		return strings.TrimSpace(fmt.Sprintf("the status is %d, not %d %s", got, test.Status, r.Code))
	}
	for name, want := range headers {
		if got := string(r.Response.Header.Peek(name)); got != want {
			return fmt.Sprintf("the header %s is %q, not %q", name, got, want)
		}
	}
	return ""
}

// reaches tells why a request does not reach an upstream for certain, or that it does by an empty text. The policies of the route are left
// aside, as Explain leaves them.
func (s *Server) reaches(r *exchange.Request, want string) string {
	found, ok := r.Route.(*route)
	if !ok {
		return "no route passes it to an upstream"
	}
	err := s.refuses(s.table.Load(), r, found)
	if err != nil {
		return "it reaches no upstream: " + problem.From(err).Error()
	}
	chances := []exchange.Chance{{Upstream: found.target, Part: 1, Why: "proxy"}}
	switch {
	case found.chances != nil:
		if chances, err = found.chances(r); err != nil {
			return problem.From(err).Error()
		}
	case found.action != "proxy":
		return fmt.Sprintf("the action %s passes it to no upstream", found.action)
	}
	told, certain := make([]string, len(chances)), true
	for i, c := range chances {
		told[i] = fmt.Sprintf("%s (%s)", c.Upstream, c.Why)
		certain = certain && c.Upstream == want
	}
	if !certain {
		return fmt.Sprintf("the upstream is %s, not for certain %s", strings.Join(told, " or "), want)
	}
	return ""
}
