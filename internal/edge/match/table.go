// Package match finds the route of a request by host, path, method, headers and query.
//
// Of the routes that fit a request the first in this order counts: an exact host before *.suffix (the longest first) and both before
// any host; the most specific path, segment by segment from the left, text before a parameter and both before /*; more conditions on
// headers and query before fewer; the method itself before any method; the one that was declared first. A route whose method or
// conditions do not fit is passed over.
package match

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// Rule is what a request must be for a route.
type Rule struct {
	Methods []string // or exchange.Any
	Hosts   []string // as in api.example.com and *.example.com; empty is any
	Path    string   // as exchange.Routes has it
	Header  map[string]string
	Query   map[string]string
}

// Table is a compiled set of routes. It is not changed any more once it is in use.
type Table[T any] struct {
	any     tree[T]
	exact   map[string]*tree[T]
	suffix  map[string]*tree[T] // by what follows *, as in .example.com
	strict  bool                // some route has conditions
	entries []entry[T]          // in the order of declaration
}

type tree[T any] struct{ routes exchange.Routes[*slot[T]] }

// slot holds the routes of one method and path.
type slot[T any] struct{ choices []choice[T] }

type choice[T any] struct {
	conditions []condition
	value      T
}

type entry[T any] struct {
	rule       Rule
	conditions []condition
	value      T
}

// Taken is the error of Add for a route that takes the requests of another.
type Taken[T any] struct{ Other T }

// Error implements error.
func (*Taken[T]) Error() string { return "another route takes the same requests" }

// Add puts a route in the table. Errors are *Taken, and others for a rule that cannot be read; the table must not be used then.
func (t *Table[T]) Add(rule Rule, value T) error {
	list, err := conditions(rule.Header, rule.Query)
	if err != nil {
		return err
	}
	for _, at := range t.trees(rule.Hosts) {
		for _, method := range rule.Methods {
			if err := at.add(method, rule.Path, choice[T]{list, value}); err != nil {
				return err
			}
		}
	}
	t.strict = t.strict || len(list) > 0
	t.entries = append(t.entries, entry[T]{rule, list, value})
	return nil
}

// trees are those of the hosts; they are made where they are not there.
func (t *Table[T]) trees(hosts []string) []*tree[T] {
	if len(hosts) == 0 {
		return []*tree[T]{&t.any}
	}
	if t.exact == nil {
		t.exact, t.suffix = map[string]*tree[T]{}, map[string]*tree[T]{}
	}
	var list []*tree[T]
	for _, host := range hosts {
		in, name := t.exact, strings.ToLower(host)
		if suffix, ok := strings.CutPrefix(name, "*"); ok {
			in, name = t.suffix, suffix
		}
		if in[name] == nil {
			in[name] = &tree[T]{}
		}
		list = append(list, in[name])
	}
	return list
}

func (t *tree[T]) add(method, path string, c choice[T]) error {
	s := &slot[T]{}
	if other, err := t.routes.Add(method, path, s); other != nil {
		s = other
	} else if err != nil {
		return err
	}
	for _, there := range s.choices {
		if slices.EqualFunc(there.conditions, c.conditions, func(a, b condition) bool { return a.String() == b.String() }) {
			return &Taken[T]{there.value}
		}
	}
	at := slices.IndexFunc(s.choices, func(there choice[T]) bool { return len(there.conditions) < len(c.conditions) })
	if at < 0 {
		at = len(s.choices)
	}
	s.choices = slices.Insert(s.choices, at, c)
	return nil
}

// Find returns the route of a request and fills params; HR1001 or, with the methods that are allowed, HR1002 if there is none.
func (t *Table[T]) Find(r *fasthttp.Request, method, path []byte, params *[8][]byte) (value T, allow string, err error) {
	if t.exact != nil {
		host := hostname(r.Host())
		if at := t.exact[string(host)]; at != nil {
			if value, allow, err = t.in(at, r, method, path, params); err == nil {
				return value, "", nil
			}
		}
		for rest := host; ; {
			dot := bytes.IndexByte(rest, '.')
			if dot < 0 {
				break
			}
			if at := t.suffix[string(rest[dot:])]; at != nil {
				var more string
				if value, more, err = t.in(at, r, method, path, params); err == nil {
					return value, "", nil
				}
				allow = both(allow, more)
			}
			rest = rest[dot+1:]
		}
	}
	value, more, err := t.in(&t.any, r, method, path, params)
	if err == nil {
		return value, "", nil
	}
	if allow = both(allow, more); allow != "" {
		err = problem.New("HR1002", "%s is not allowed on %.200s", method, path).Hinting("use %s", allow)
	}
	return value, allow, err
}

func (t *Table[T]) in(at *tree[T], r *fasthttp.Request, method, path []byte, params *[8][]byte) (value T, allow string, err error) {
	if !t.strict {
		s, allow, err := at.routes.Find(method, path, params, nil)
		if err != nil {
			return value, allow, err
		}
		return s.choices[0].value, "", nil
	}
	choose := func(s *slot[T]) int {
		return slices.IndexFunc(s.choices, func(c choice[T]) bool { return fits(c.conditions, r) })
	}
	s, allow, err := at.routes.Find(method, path, params, func(s *slot[T]) int {
		if i := choose(s); i >= 0 {
			return len(s.choices[i].conditions)
		}
		return -1
	})
	if err != nil {
		return value, allow, err
	}
	return s.choices[choose(s)].value, "", nil
}

func fits(list []condition, r *fasthttp.Request) bool {
	for i := range list {
		if !list[i].fits(r) {
			return false
		}
	}
	return true
}

func both(a, b string) string {
	switch {
	case a == "" || a == b:
		return b
	case b == "":
		return a
	}
	list := append(strings.Split(a, ", "), strings.Split(b, ", ")...)
	slices.Sort(list)
	return strings.Join(slices.Compact(list), ", ")
}

// hostname is a host without port, in lower case.
func hostname(host []byte) []byte {
	if i := bytes.LastIndexByte(host, ':'); i >= 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	for _, c := range host {
		if 'A' <= c && c <= 'Z' {
			return bytes.ToLower(host)
		}
	}
	return host
}

// All calls f with every route in the order of declaration.
func (t *Table[T]) All(f func(Rule, T)) {
	for i := range t.entries {
		f(t.entries[i].rule, t.entries[i].value)
	}
}

// Considered is a route and why it did not answer.
type Considered[T any] struct {
	Rule  Rule
	Value T
	Why   string // "" if it fits
}

// Explain tells of every route why it does not fit a request, in the order of declaration.
func (t *Table[T]) Explain(r *fasthttp.Request, method, path []byte) []Considered[T] {
	list := make([]Considered[T], len(t.entries))
	for i, e := range t.entries {
		list[i] = Considered[T]{e.rule, e.value, e.why(r, method, path)}
	}
	return list
}

func (e *entry[T]) why(r *fasthttp.Request, method, path []byte) string {
	var alone Table[T]
	if len(e.rule.Hosts) > 0 {
		_ = alone.Add(Rule{Methods: []string{exchange.Any}, Hosts: e.rule.Hosts, Path: "/*"}, e.value)
		if _, _, err := alone.Find(r, method, []byte("/"), &[8][]byte{}); err != nil {
			return fmt.Sprintf("host is %s", hostname(r.Host()))
		}
	}
	alone = Table[T]{}
	_ = alone.Add(Rule{Methods: e.rule.Methods, Path: e.rule.Path}, e.value)
	if _, allow, err := alone.Find(r, method, path, &[8][]byte{}); allow != "" {
		return "method is " + string(method)
	} else if err != nil {
		return "path is another"
	}
	for i := range e.conditions {
		if !e.conditions[i].fits(r) {
			return "not so: " + e.conditions[i].String()
		}
	}
	return ""
}
