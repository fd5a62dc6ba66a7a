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
	names := map[string]bool{}
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
			if names[name] {
				return other, fmt.Errorf("%q has two parameters %s", pattern, name)
			}
			names[name] = true
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

// Any is the method of a route that answers every method for which there is no other.
const Any = "*"

// Find returns the route for a request and fills params, and after them what /* stands for; HR1001 if none has the path, HR1002 with the
// methods if only others have it. A GET route answers HEAD, too. With rank, a route of a higher rank comes
// before others of the same path, and one below 0 is as if it was not there.
func (t *Routes[T]) Find(method, path []byte, params *[8][]byte, rank func(T) int) (value T, allow string, err error) {
	s := search[T]{method: method, params: params[:0], rank: rank}
	if len(path) > 0 && path[0] == '/' {
		if r := t.root.find(&s, path[1:]); r != nil {
			return r.value, "", nil
		}
	}
	if s.other != nil {
		slices.Sort(s.other)
		allow = strings.Join(slices.Compact(s.other), ", ")
		return value, allow, problem.New("HR1002", "%s is not allowed on %.200s", method, path).Hinting("use %s", allow)
	}
	return value, "", problem.New("HR1001", "no route for %.200s", path)
}

// search is one walk through the tree.
type search[T any] struct {
	method []byte
	params [][]byte
	rank   func(T) int
	other  []string // methods of routes that have the path
}

func (n *node[T]) find(s *search[T], rest []byte) *route[T] {
	segment, after, more := rest, []byte(nil), false
	for i, c := range rest {
		if c == '/' {
			segment, after, more = rest[:i], rest[i+1:], true
			break
		}
	}
	if next := n.texts[string(segment)]; next != nil {
		if r := next.step(s, after, more); r != nil {
			return r
		}
	}
	if n.param != nil && len(segment) > 0 && len(s.params) < cap(s.params) {
		s.params = append(s.params, segment)
		if r := n.param.step(s, after, more); r != nil {
			return r
		}
		s.params = s.params[:len(s.params)-1]
	}
	if r := s.pick(n.prefix); r != nil {
		if len(s.params) < cap(s.params) {
			s.params = append(s.params, rest)
		}
		return r
	}
	return nil
}

func (n *node[T]) step(s *search[T], after []byte, more bool) *route[T] {
	if more {
		return n.find(s, after)
	}
	return s.pick(n.here)
}

// pick takes the route of the highest rank; of those the one of the method itself, then one of GET for HEAD, then one of any method.
func (s *search[T]) pick(list []route[T]) *route[T] {
	var best *route[T]
	high, near := -1, 0
	for i := range list {
		r, fits := &list[i], 0
		switch {
		case r.method == string(s.method):
			fits = 3
		case r.method == "GET" && string(s.method) == "HEAD":
			fits = 2
		case r.method == Any:
			fits = 1
		default:
			s.other = append(s.other, r.method)
			continue
		}
		rank := 0
		if s.rank != nil {
			rank = s.rank(r.value)
		}
		if rank > high || rank == high && rank >= 0 && fits > near {
			best, high, near = r, rank, fits
		}
	}
	return best
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
