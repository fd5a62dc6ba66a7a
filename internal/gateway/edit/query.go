package edit

import (
	"bytes"
	"maps"
	"net/url"
	"slices"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/template"
	"github.com/headrace/headrace/internal/problem"
)

// Query are changes of the parameters of a query.
type Query []parameter

type parameter struct {
	name    string
	escaped []byte // name=
	value   *template.Template
}

// NewQuery compiles changes.
func NewQuery(values map[string]string, pattern string) (Query, error) {
	var list Query
	for _, name := range slices.Sorted(maps.Keys(values)) {
		p := parameter{name: name, escaped: append(template.AppendQuery(nil, name), '=')}
		if values[name] != "" {
			var err error
			if p.value, err = template.NewValue(values[name], pattern, template.Query); err != nil {
				return nil, problem.From(err).Of("edit.query." + name)
			}
		}
		list = append(list, p)
	}
	return list, nil
}

// Append adds the changed query to b. What is not changed stays as it is written.
func (q Query) Append(b, query []byte, r *exchange.Request) []byte {
	start := len(b)
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		name, _, _ := bytes.Cut(pair, []byte("="))
		if len(pair) == 0 || q.changes(name) {
			continue
		}
		b = append(join(b, start), pair...)
	}
	for i := range q {
		if q[i].value != nil {
			b = append(join(b, start), q[i].escaped...)
			b, _ = q[i].value.Append(b, r)
		}
	}
	return b
}

func join(b []byte, start int) []byte {
	if len(b) > start {
		return append(b, '&')
	}
	return b
}

func (q Query) changes(name []byte) bool {
	plain := name
	if bytes.ContainsAny(name, "%+") {
		if text, err := url.QueryUnescape(string(name)); err == nil {
			plain = []byte(text)
		}
	}
	for i := range q {
		if q[i].name == string(plain) {
			return true
		}
	}
	return false
}
