package openapi

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// paths finds the operations of a path.
type paths struct {
	exact  map[string]*path
	bySize map[int][]*path // those with parameters, by their number of segments, the more exact ones first
}

// path is one of the document.
type path struct {
	segments   []segment
	operations map[string]*operation
	allow      string
}

// segment is a text with parameters in it, as in {id}.json.
type segment struct {
	texts   []string // before, between and after the parameters
	names   []string
	several *regexp.Regexp // if there are
}

func newSegment(text string) (segment, error) {
	var s segment
	for {
		before, after, found := strings.Cut(text, "{")
		s.texts = append(s.texts, before)
		if !found {
			break
		}
		name, rest, closed := strings.Cut(after, "}")
		if !closed || name == "" {
			return s, fmt.Errorf("a brace is not closed")
		}
		if len(s.names) > 0 && before == "" {
			return s, fmt.Errorf("two parameters follow each other")
		}
		s.names = append(s.names, name)
		text = rest
	}
	if len(s.names) < 2 {
		return s, nil
	}
	pattern := make([]string, len(s.texts))
	for i, text := range s.texts {
		pattern[i] = regexp.QuoteMeta(text)
	}
	var err error
	s.several, err = regexp.Compile("(?s)^" + strings.Join(pattern, "(.+)") + "$")
	return s, err
}

// match appends the values of the parameters, each of which has at least one character.
func (s *segment) match(text string, values []pair) ([]pair, bool) {
	switch len(s.names) {
	case 0:
		return values, text == s.texts[0]
	case 1:
		before, after := s.texts[0], s.texts[1]
		if len(text) <= len(before)+len(after) || !strings.HasPrefix(text, before) || !strings.HasSuffix(text, after) {
			return values, false
		}
		return append(values, pair{s.names[0], text[len(before) : len(text)-len(after)]}), true
	}
	found := s.several.FindStringSubmatch(text)
	if found == nil {
		return values, false
	}
	for i, name := range s.names {
		values = append(values, pair{name, found[i+1]})
	}
	return values, true
}

// compile makes all operations of the document.
func (d *document) compile() (*paths, error) {
	t := &paths{exact: map[string]*path{}, bySize: map[int][]*path{}}
	top := node{d.root, d.url + "#"}
	all, ok, err := d.child(top, "paths")
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fmt.Errorf("it has no paths")
	}
	for _, text := range slices.Sorted(maps.Keys(all.value)) {
		if !strings.HasPrefix(text, "/") {
			continue // x-…
		}
		item, ok, err := d.child(all, text)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		p := &path{}
		if p.operations, err = d.operations(text, item); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		verbs := slices.Sorted(maps.Keys(p.operations))
		p.allow = strings.Join(verbs, ", ")
		for one := range strings.SplitSeq(text, "/") {
			s, err := newSegment(one)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", text, err)
			}
			p.segments = append(p.segments, s)
		}
		if !strings.Contains(text, "{") {
			t.exact[text] = p
			continue
		}
		n := len(p.segments)
		t.bySize[n] = append(t.bySize[n], p)
	}
	for _, list := range t.bySize {
		slices.SortStableFunc(list, func(a, b *path) int {
			for i := range a.segments {
				if x, y := len(a.segments[i].names), len(b.segments[i].names); (x == 0) != (y == 0) {
					return x - y
				}
				if x, y := a.segments[i].fixed(), b.segments[i].fixed(); x != y {
					return y - x
				}
			}
			return 0
		})
	}
	return t, nil
}

// fixed is the length of what is not a parameter.
func (s *segment) fixed() (n int) {
	for _, text := range s.texts {
		n += len(text)
	}
	return n
}

// find is the path of the document that a path is, and the values of its parameters; nil if there is none.
func (t *paths) find(text string) (*path, []pair) {
	if p := t.exact[text]; p != nil {
		return p, nil
	}
	segments := strings.Split(text, "/")
	var values []pair
next:
	for _, p := range t.bySize[len(segments)] {
		values = values[:0]
		for i := range p.segments {
			var ok bool
			if values, ok = p.segments[i].match(segments[i], values); !ok {
				continue next
			}
		}
		return p, values
	}
	return nil, nil
}

// base is the path of the first server, without a slash at its end.
func (d *document) base() string {
	list, _ := d.root["servers"].([]any)
	if len(list) == 0 {
		return ""
	}
	first, _ := list[0].(map[string]any)
	text, _ := first["url"].(string)
	variables, _ := first["variables"].(map[string]any)
	for name, one := range variables {
		variable, _ := one.(map[string]any)
		value, _ := variable["default"].(string)
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return strings.TrimSuffix(u.Path, "/")
}
