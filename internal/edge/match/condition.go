package match

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/valyala/fasthttp"
)

// condition is what a header or a parameter of the query must be.
type condition struct {
	name    string
	query   bool
	any     bool // it must be there
	exact   string
	pattern *regexp.Regexp // or its value must match
}

// conditions compiles what is written in the configuration: a text, * for any value, or ~ and a regular expression.
func conditions(header, query map[string]string) ([]condition, error) {
	var list []condition
	for _, from := range []struct {
		values map[string]string
		query  bool
	}{{header, false}, {query, true}} {
		for _, name := range slices.Sorted(maps.Keys(from.values)) {
			c := condition{name: name, query: from.query}
			value := from.values[name]
			if pattern, ok := strings.CutPrefix(value, "~"); ok {
				var err error
				if c.pattern, err = regexp.Compile(pattern); err != nil {
					return nil, err
				}
			} else if value == "*" {
				c.any = true
			} else {
				c.exact = value
			}
			list = append(list, c)
		}
	}
	return list, nil
}

func (c *condition) fits(r *fasthttp.Request) bool {
	if c.query {
		args := r.URI().QueryArgs()
		for _, value := range args.PeekMulti(c.name) {
			if c.takes(value) {
				return true
			}
		}
		return false
	}
	for _, value := range r.Header.PeekAll(c.name) {
		if c.takes(value) {
			return true
		}
	}
	return false
}

func (c *condition) takes(value []byte) bool {
	switch {
	case c.any:
		return true
	case c.pattern != nil:
		return c.pattern.Match(value)
	}
	return string(value) == c.exact
}

// String is the condition for people.
func (c *condition) String() string {
	kind := "header"
	if c.query {
		kind = "query"
	}
	switch {
	case c.any:
		return fmt.Sprintf("%s %s is there", kind, c.name)
	case c.pattern != nil:
		return fmt.Sprintf("%s %s matches %s", kind, c.name, c.pattern)
	}
	return fmt.Sprintf("%s %s is %s", kind, c.name, c.exact)
}
