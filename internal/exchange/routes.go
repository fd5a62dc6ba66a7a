package exchange

import (
	"fmt"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

// Routes is a compiled table of routes; it is read by many goroutines and not changed any more once it is in use.
//
// A pattern is a path whose segments are text or a parameter in braces, as in /jobs/{id}/result, or it ends in /* and takes all that
// is below. Of the routes that fit a path and a method the most specific counts: segment by segment from the left, text before a
// parameter, and both before /*; of several /* the longest.
type Routes[T any] struct {
	root  node[T]
	count int
}

type node[T any] struct {
	texts  map[string]*node[T]
	param  *node[T]
	here   []route[T]
	prefix []route[T]
}

type route[T any] struct {
	method  string
	pattern string
	value   T
}

// Add puts a route in the table. One that fits the same requests as another is returned with that one's value and is not added.
func (t *Routes[T]) Add(method, pattern string, value T) (other T, err error) {
	if !strings.HasPrefix(pattern, "/") {
		return other, fmt.Errorf("%q does not begin with /", pattern)
	}
	at, params := &t.root, 0
	below, prefix := strings.CutSuffix(pattern, "/*")
	for segment := range strings.SplitSeq(strings.TrimPrefix(below, "/"), "/") {
		if prefix && below == "" {
			break
		}
		name, isParam := strings.CutPrefix(segment, "{")
		if isParam {
			name, isParam = strings.CutSuffix(name, "}")
			if params++; !isParam || name == "" || strings.ContainsAny(name, "{}") || params > len(Request{}.Params) {
				return other, fmt.Errorf("%q has a bad parameter", pattern)
			}
			if at.param == nil {
				at.param = &node[T]{}
			}
			at = at.param
			continue
		}
		if strings.ContainsAny(segment, "{}*") {
			return other, fmt.Errorf("%q has a bad segment %q", pattern, segment)
		}
		if at.texts[segment] == nil {
			if at.texts == nil {
				at.texts = map[string]*node[T]{}
			}
			at.texts[segment] = &node[T]{}
		}
		at = at.texts[segment]
	}
	list := &at.here
	if prefix {
		list = &at.prefix
	}
	for _, r := range *list {
		if r.method == method {
			return r.value, errTaken
		}
	}
	*list = append(*list, route[T]{method, pattern, value})
	t.count++
	return other, nil
}

var errTaken = fmt.Errorf("the route is there already")

// Find returns the route for a request and fills params; HR1001 if none has the path, HR1002 with the methods if only others have it.
// A GET route answers HEAD, too.
func (t *Routes[T]) Find(method, path []byte, params *[8][]byte) (value T, allow string, err error) {
	var other []string
	if len(path) > 0 && path[0] == '/' {
		if r := t.root.find(method, path[1:], params[:0], &other); r != nil {
			return r.value, "", nil
		}
	}
	if other != nil {
		slices.Sort(other)
		allow = strings.Join(slices.Compact(other), ", ")
		return value, allow, problem.New("HR1002", "%s is not allowed on %.200s", method, path).Hinting("use %s", allow)
	}
	return value, "", problem.New("HR1001", "no route for %.200s", path)
}

func (n *node[T]) find(method, rest []byte, params [][]byte, other *[]string) *route[T] {
	segment, after, more := rest, []byte(nil), false
	for i, c := range rest {
		if c == '/' {
			segment, after, more = rest[:i], rest[i+1:], true
			break
		}
	}
	if next := n.texts[string(segment)]; next != nil {
		if r := next.step(method, after, more, params, other); r != nil {
			return r
		}
	}
	if n.param != nil && len(segment) > 0 && len(params) < cap(params) {
		if r := n.param.step(method, after, more, append(params, segment), other); r != nil {
			return r
		}
	}
	return pick(n.prefix, method, other)
}

func (n *node[T]) step(method, after []byte, more bool, params [][]byte, other *[]string) *route[T] {
	if more {
		return n.find(method, after, params, other)
	}
	return pick(n.here, method, other)
}

func pick[T any](list []route[T], method []byte, other *[]string) *route[T] {
	for i := range list {
		if m := list[i].method; m == string(method) || m == "GET" && string(method) == "HEAD" {
			return &list[i]
		}
		*other = append(*other, list[i].method)
	}
	return nil
}

// All calls f with every route.
func (t *Routes[T]) All(f func(method, pattern string, value T)) { t.root.all(f) }

func (n *node[T]) all(f func(method, pattern string, value T)) {
	for _, list := range [][]route[T]{n.here, n.prefix} {
		for _, r := range list {
			f(r.method, r.pattern, r.value)
		}
	}
	for _, next := range n.texts {
		next.all(f)
	}
	if n.param != nil {
		n.param.all(f)
	}
}
