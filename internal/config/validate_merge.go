package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// framing are headers that belong to one connection or one message.
var framing = []string{
	"host", "connection", "content-length", "content-type", "content-encoding", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive", "proxy-connection",
	"accept-encoding", "expect", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id", "traceparent",
}

var (
	partPattern   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
	memberPattern = regexp.MustCompile(`^[^.\s]+(\.[^.\s]+)*$`)
)

func (c *Config) validateMerge(at string, r *Route) error {
	m := r.Merge
	if len(m.Parts) == 0 {
		return c.invalid(at, "it has no parts").Hinting("list what is asked below parts")
	}
	for i, name := range m.Headers {
		if !headerPattern.MatchString(name) {
			return c.invalid(fmt.Sprintf("%s.headers[%d]", at, i), "%q is not the name of a header", name).Hinting("write it as in X-Version")
		}
	}
	for i, name := range m.Headers {
		if slices.Contains(framing, strings.ToLower(name)) {
			return c.invalid(fmt.Sprintf("%s.headers[%d]", at, i), "%s is not passed on", name).Hinting("remove it")
		}
	}
	waits := make([][]int, len(m.Parts)) // for other parts
	names := make([]string, len(m.Parts))
	for i := range m.Parts {
		p, at := &m.Parts[i], fmt.Sprintf("%s.parts[%d]", at, i)
		if err := c.validatePart(at, p); err != nil {
			return err
		}
		names[i] = p.Title()
		if slices.Contains(names[:i], names[i]) {
			return c.invalid(at, "there is another part %q", names[i]).Hinting("give one of them another name")
		}
	}
	for i := range m.Parts {
		p, at := &m.Parts[i], fmt.Sprintf("%s.parts[%d]", at, i)
		for key, text := range map[string]string{"path": p.Path, "body": p.Body} {
			at := at + "." + key
			for _, found := range Placeholder.FindAllStringSubmatch(text, -1) {
				name, member := found[1], found[2]
				if member == "" {
					if err := c.validateTemplate(at, "{"+name+"}", r); err != nil {
						return err
					}
					continue
				}
				j := slices.Index(names, name)
				if j < 0 {
					return c.invalid(at, "there is no part %s", name).Hinting("name one of %s", strings.Join(names, ", "))
				}
				waits[i] = append(waits[i], j)
			}
			if rest := Placeholder.ReplaceAllString(text, ""); key == "path" && strings.ContainsAny(rest, "{}") {
				return c.invalid(at, "a brace belongs to no parameter").Hinting("write {name} for a parameter of match, or {part.member}")
			}
		}
	}
	if circle := circleOf(waits); circle != nil {
		var list []string
		for _, i := range circle {
			list = append(list, names[i])
		}
		return c.invalid(fmt.Sprintf("%s.parts[%d]", at, circle[0]), "parts wait for each other: %s", strings.Join(list, ", ")).
			Hinting("let one of them do without a value of the other")
	}
	return nil
}

func (c *Config) validatePart(at string, p *Part) error {
	if (p.Upstream == "") == (p.Call == "") {
		return c.invalid(at, "it has neither upstream nor call, or both").Hinting("give the part exactly one of the two")
	}
	if p.Upstream != "" {
		if err := c.validateUpstreamName(at+".upstream", p.Upstream); err != nil {
			return err
		}
		if !strings.HasPrefix(p.Path, "/") || strings.HasPrefix(p.Path, "//") || strings.ContainsAny(p.Path, " #\r\n\t") {
			return c.invalid(at+".path", "%q is not a path", p.Path).Hinting("begin with one /")
		}
	} else if p.Path != "" || p.Method != "" {
		return c.invalid(at, "path and method belong to a part with upstream").Hinting("give the function its arguments by body")
	}
	if !methodPattern.MatchString(p.Verb()) || p.Verb() == "CONNECT" || p.Verb() == "HEAD" {
		return c.invalid(at+".method", "%q is not a method that gives JSON", p.Method).Hinting("write GET or POST")
	}
	if p.Name != "" && !partPattern.MatchString(p.Name) {
		return c.invalid(at+".name", "%q is not a name", p.Name).Hinting("write letters, digits, _ and -")
	}
	members := append(append([]string{}, p.Pick...), p.Drop...)
	if p.Target != "" {
		members = append(members, p.Target)
	}
	for _, member := range members {
		if !memberPattern.MatchString(member) {
			return c.invalid(at, "%q names no member", member).Hinting("write names with points between them, as in customer.name")
		}
	}
	taken := map[string]string{}
	for from, to := range p.Rename {
		if other, ok := taken[to]; ok {
			return c.invalid(at+".rename", "%s and %s get the same name", min(from, other), max(from, other)).Hinting("rename one of them to something else")
		}
		taken[to] = from
	}
	return nil
}

// circleOf is a list of parts that wait for each other, nil if there is none.
func circleOf(waits [][]int) []int {
	const fresh, open, done = 0, 1, 2
	state := make([]int, len(waits))
	var path []int
	var visit func(i int) []int
	visit = func(i int) []int {
		state[i] = open
		path = append(path, i)
		for _, j := range waits[i] {
			if state[j] == open {
				return path[slices.Index(path, j):]
			}
			if state[j] == fresh {
				if circle := visit(j); circle != nil {
					return circle
				}
			}
		}
		state[i] = done
		path = path[:len(path)-1]
		return nil
	}
	for i := range waits {
		if state[i] == fresh {
			if circle := visit(i); circle != nil {
				return circle
			}
		}
	}
	return nil
}
