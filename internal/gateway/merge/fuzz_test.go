package merge

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// answers are values for templates out of one document.
type answers struct {
	text string
	doc  []byte
}

func (a answers) param(int) string                         { return a.text }
func (a answers) part(_ int, path []string) ([]byte, bool) { return find(a.doc, path) }

func FuzzTemplate(f *testing.F) {
	f.Add("/a/{id}/{p.x.0}?q={p.*.y}", `{"a": {id}, "b": "x{p.name}\""}`, "a/../b", `{"x":["..",1],"name":"a\"\\"}`)
	f.Add("/{id}", `[{id},{p.0}]`, "1e5", `[{"y":null}]`)
	f.Fuzz(func(t *testing.T, path, body, text, doc string) {
		v := answers{text, []byte(doc)}
		if strictjson.Check(v.doc, depth-1) != nil {
			v.doc = []byte("null")
		}
		if p, err := newTemplate(path, false, []string{"id", "*"}, []string{"p"}); err == nil && !strings.ContainsAny(path, "\r\n ") {
			if got, err := p.append(nil, v); err == nil {
				if bytes.ContainsAny(got, "\r\n ") || bytes.Count(got, []byte("?")) != strings.Count(path, "?") && !strings.Contains(path, "{p") {
					t.Fatalf("%q with %q and %s: %q", path, text, doc, got)
				}
			}
		}
		if b, err := newTemplate(body, true, []string{"id"}, []string{"p"}); err == nil {
			if got, err := b.append(nil, v); err == nil && strictjson.Check(got, 3*depth) != nil && !duplicate(got) {
				t.Fatalf("%q with %q and %s: %q", body, text, doc, got)
			}
		}
	})
}

// duplicate tells whether JSON is fine but for keys that are there twice, which values in keys may make.
func duplicate(doc []byte) bool { return json.Valid(doc) }

func FuzzFilter(f *testing.F) {
	f.Add(`{"a":1,"b":{"c":[{"d":1}]}}`, "b.c.d,a", "a.x", "a", "z")
	f.Add(`[{"a":1,"b":2}]`, "", "a", "b", "a")
	f.Fuzz(func(t *testing.T, doc, pick, drop, from, to string) {
		list := func(text string) []string { return strings.FieldsFunc(text, func(r rune) bool { return r == ',' }) }
		p := &part{title: "x", group: []byte("g"), filter: newFilter(list(pick), list(drop), map[string]string{from: to})}
		members, err := p.take(nil, []byte(doc))
		if (err == nil) != (strictjson.Check([]byte(doc), depth) == nil) {
			t.Fatalf("%s: %v", doc, err)
		}
		if err != nil {
			return
		}
		if strictjson.Check(members[0].value, depth) != nil && strings.ToValidUTF8(to, "") == to {
			t.Fatalf("%s becomes %s", doc, members[0].value)
		}
		_, _ = find([]byte(doc), strings.Split(pick, "."))
		p.group = nil
		if members, err = p.take(nil, []byte(doc)); err == nil {
			var d document
			for _, m := range members {
				d.set(m)
			}
			if whole := d.append(nil); strictjson.Check(whole, depth) != nil && strings.ToValidUTF8(to, "") == to {
				t.Fatalf("%s becomes %s", doc, whole)
			}
		}
	})
}
