package config

import (
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

var (
	methodPattern = regexp.MustCompile(`^[A-Z]+$`)
	hostPattern   = regexp.MustCompile(`^(\*\.)?[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?$|^\[[0-9a-f:.]+\]$`)
	paramPattern  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	headerPattern = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

// validateNamed checks that there are policies of these names.
func (c *Config) validateNamed(at string, names []string) error {
	for _, name := range names {
		if c.Policies[name] != nil {
			continue
		}
		e := c.invalid(at, "there is no policy %q", name)
		if near := Nearest(name, slices.Sorted(maps.Keys(c.Policies))); near != "" {
			return e.Hinting("write %s", near)
		}
		return e.Hinting("add it below policies, or remove it here")
	}
	return nil
}

func (c *Config) validateRoutes() error {
	taken := map[string]int{}
	for i := range c.Routes {
		r, at := &c.Routes[i], fmt.Sprintf("routes[%d]", i)
		if err := c.validateMatch(at, r.Match); err != nil {
			return err
		}
		if err := c.validateAction(at, r); err != nil {
			return err
		}
		if err := c.validateConditions(at, r); err != nil {
			return err
		}
		if err := c.validateNamed(at+".policies", r.Policies); err != nil {
			return err
		}
		if err := c.validatePolicy(at, &r.Policy); err != nil {
			return err
		}
		for _, method := range r.Verbs() {
			if method != Any && !methodPattern.MatchString(method) {
				return c.invalid(at+".methods", "%q is not an HTTP method", method).Hinting("write %s", strings.ToUpper(method))
			}
			if r.Static != "" && method != "GET" && method != "HEAD" {
				return c.invalid(at+".methods", "a static route answers GET and HEAD, not %s", method).Hinting("remove %s", method)
			}
			same := fmt.Sprint(method, r.Match, slices.Sorted(slices.Values(r.Hosts)), r.Header, r.Query)
			if first, ok := taken[same]; ok {
				return c.invalid(at+".match", "routes[%d] has %s %s already", first, method, r.Match).Hinting("remove one of the two")
			}
			taken[same] = i
		}
	}
	return nil
}

func (c *Config) validateMatch(at, match string) error {
	exact := strings.TrimSuffix(match, "/*")
	switch {
	case match == "":
		return c.invalid(at, "it has no match").Hinting("set match to a path, as in /reports or /files/*")
	case match[0] != '/', strings.Contains(match, "//"), strings.ContainsAny(exact, "*?# %\\"),
		slices.Contains(strings.Split(match, "/"), ".."), slices.Contains(strings.Split(match, "/"), "."):
		return c.invalid(at+".match", "%q is not a path", match).Hinting("begin with / and use * only as a last /*")
	}
	return nil
}

func (c *Config) validateAction(at string, r *Route) error {
	actions := r.Actions()
	if len(actions) != 1 {
		return c.invalid(at, "it has %d actions", len(actions)).
			Hinting("give the route exactly one of job, call, static, proxy, split, merge, redirect and respond")
	}
	if r.Static != "" && !r.Below() {
		return c.invalid(at+".match", "a static route serves all that is below a path").Hinting("write %s/*", strings.TrimSuffix(r.Match, "/"))
	}
	if r.Fallback != "" && r.Static == "" {
		return c.invalid(at+".fallback", "it belongs to a route with static").Hinting("remove it")
	}
	if f := r.Fallback; f != "" && (!fs.ValidPath(f) || f[0] == '.' || strings.Contains(f, "/.")) {
		return c.invalid(at+".fallback", "%q is not a file of the folder", f).Hinting("write its path in the folder, as in index.html")
	}
	passes := r.Proxy != "" || len(r.Split) > 0
	if !passes && (r.Rewrite != "" || r.Mirror != "") {
		return c.invalid(at, "rewrite and mirror belong to a route with proxy or split").Hinting("remove them")
	}
	if r.Proxy != "" {
		if err := c.validateUpstreamName(at+".proxy", r.Proxy); err != nil {
			return err
		}
	}
	if r.Merge != nil {
		if err := c.validateMerge(at+".merge", r); err != nil {
			return err
		}
	}
	if r.Mirror != "" {
		if err := c.validateUpstreamName(at+".mirror", r.Mirror); err != nil {
			return err
		}
	}
	weight := 0
	for j, s := range r.Split {
		if err := c.validateUpstreamName(fmt.Sprintf("%s.split[%d].upstream", at, j), s.Upstream); err != nil {
			return err
		}
		weight += s.Weight
	}
	if len(r.Split) > 0 && weight == 0 {
		return c.invalid(at+".split", "all weights are 0").Hinting("give one of the upstreams a weight")
	}
	for key, template := range map[string]string{"redirect": r.Redirect, "rewrite": r.Rewrite} {
		if err := c.validateTemplate(at+"."+key, template, r); err != nil {
			return err
		}
	}
	if r.Rewrite != "" && r.Rewrite[0] != '/' {
		return c.invalid(at+".rewrite", "%q is not a path", r.Rewrite).Hinting("begin with /")
	}
	return nil
}

// validateTemplate checks that the parameters in a text are those of the path.
func (c *Config) validateTemplate(at, template string, r *Route) error {
	for rest := template; ; {
		_, after, found := strings.Cut(rest, "{")
		if !found {
			return nil
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return c.invalid(at, "a brace is not closed").Hinting("write parameters as {name}")
		}
		if name == "*" && !r.Below() {
			return c.invalid(at, "{*} stands for what /* matches, and %s has none", r.Match).Hinting("write %s/*", strings.TrimSuffix(r.Match, "/"))
		}
		if name != "*" && !strings.Contains(r.Match, "{"+name+"}") {
			return c.invalid(at, "%s has no parameter %s", r.Match, name).Hinting("name a parameter of match")
		}
		rest = tail
	}
}

func (c *Config) validateConditions(at string, r *Route) error {
	for _, host := range r.Hosts {
		if !hostPattern.MatchString(host) {
			return c.invalid(at+".hosts", "%q is not a host", host).Hinting("write it in lower case and without port, as in api.example.com or *.example.com")
		}
	}
	names := map[string]bool{}
	for _, name := range Params(r.Match) {
		if names[name] {
			return c.invalid(at+".match", "%s has two parameters %s", r.Match, name).Hinting("give each a name of its own")
		}
		names[name] = true
	}
	for segment := range strings.SplitSeq(r.Match, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok && !paramPattern.MatchString(strings.TrimSuffix(name, "}")) {
			return c.invalid(at+".match", "%q is not a parameter", segment).Hinting("write letters, digits and _ in braces")
		}
	}
	for name, value := range r.Header {
		if !headerPattern.MatchString(name) {
			return c.invalid(at+".header", "%q is not the name of a header", name).Hinting("write it as in X-Version")
		}
		if err := c.validateCondition(at+".header."+name, value); err != nil {
			return err
		}
	}
	for name, value := range r.Query {
		if err := c.validateCondition(at+".query."+name, value); err != nil {
			return err
		}
	}
	for j, t := range r.Tests {
		method, address, ok := strings.Cut(t.Request, " ")
		u, err := url.Parse(address)
		if !ok || !methodPattern.MatchString(method) || err != nil || u.Path == "" {
			return c.invalid(fmt.Sprintf("%s.tests[%d].request", at, j), "%q is not a request", t.Request).Hinting("write a method and an address, as in GET /orders/1")
		}
	}
	return nil
}

func (c *Config) validateCondition(at, value string) error {
	if pattern, ok := strings.CutPrefix(value, "~"); ok {
		if _, err := regexp.Compile(pattern); err != nil {
			return c.invalid(at, "%w", err).Hinting("write a regular expression of RE2 after ~")
		}
	}
	return nil
}
