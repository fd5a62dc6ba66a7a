package merge

import (
	"bytes"
	"net/url"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/problem"
)

// place is where a value stands in a template, which says how it is written.
type place byte

const (
	inSegment place = iota // of a path
	inRest                 // of a path, for what /* stands for
	inQuery
	inText  // inside of quotes in JSON
	inValue // a JSON value of its own
)

// template is a path or a body with values of the request and of other parts.
type template struct {
	pieces []piece
	parts  []int // whose answers it needs
}

// piece is a text, and a value behind it unless both numbers are negative.
type piece struct {
	text  string
	param int
	part  int
	path  []string
	place place
	name  string // as it was written
}

// newTemplate compiles a text. params are those of the route, names those of all parts.
func newTemplate(text string, body bool, params, names []string) (*template, error) {
	t := &template{}
	at := inSegment
	quoted, rest := false, 0
	for _, found := range config.Placeholder.FindAllStringSubmatchIndex(text, -1) {
		p := piece{text: text[rest:found[0]], param: -1, part: -1, name: text[found[0]:found[1]]}
		switch {
		case body:
			quoted = quotes(p.text, quoted)
			if at = inValue; quoted {
				at = inText
			}
		case strings.Contains(p.text, "?"):
			at = inQuery
		}
		name := text[found[2]:found[3]]
		if found[4] >= 0 {
			p.part, p.path = slices.Index(names, name), strings.Split(text[found[4]+1:found[5]], ".")
			t.parts = append(t.parts, p.part)
		} else {
			p.param = slices.Index(params, name)
		}
		if p.part < 0 && p.param < 0 {
			return nil, problem.New("HR9003", "there is no %s for %q", p.name, text).Hinting("name a parameter of match, or {part.member}")
		}
		if p.place = at; at == inSegment && name == "*" {
			p.place = inRest
		}
		t.pieces = append(t.pieces, p)
		rest = found[1]
	}
	if rest < len(text) {
		t.pieces = append(t.pieces, piece{text: text[rest:], param: -1, part: -1})
	}
	if body {
		sample, _ := t.append(nil, sample{})
		if err := strictjson.Check(sample, depth); err != nil {
			return nil, problem.New("HR9003", "the body of a part is not JSON: %s", problem.From(err).What).Hinting("put parameters that are text in quotes")
		}
	}
	return t, nil
}

// quotes tells whether the end of a piece of JSON is inside of quotes, if its beginning was.
func quotes(text string, inside bool) bool {
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			inside = !inside
		}
	}
	return inside
}

// values are what a template is filled with.
type values interface {
	param(i int) string
	part(i int, path []string) (value []byte, ok bool) // JSON
}

// sample is for the check of a body.
type sample struct{}

func (sample) param(int) string                  { return "x" }
func (sample) part(int, []string) ([]byte, bool) { return []byte(`"x"`), true }

// append writes the text with values.
func (t *template) append(b []byte, v values) ([]byte, error) {
	for i := range t.pieces {
		p := &t.pieces[i]
		b = append(b, p.text...)
		text, ok := "", true
		switch {
		case p.param < 0 && p.part < 0:
			continue
		case p.param >= 0:
			text = v.param(p.param)
			if p.place == inValue {
				b = appendValue(b, text)
				continue
			}
		default:
			raw, found := v.part(p.part, p.path)
			if !found {
				return nil, problem.New("HR4087", "there is no %s", p.name)
			}
			if p.place == inValue {
				b = append(b, raw...)
				continue
			}
			if text, ok = plain(raw); !ok {
				return nil, problem.New("HR4087", "%s is %.60s, which is no text", p.name, raw)
			}
		}
		if b, ok = p.place.append(b, text); !ok {
			return nil, problem.New("HR4087", "%s is %.60q, which is no segment of a path", p.name, text)
		}
	}
	return b, nil
}

// appendValue writes a text as the number or the word that it is, else in quotes.
func appendValue(b []byte, text string) []byte {
	switch trimmed := []byte(text); {
	case len(text) == 0 || text[0] == '"' || text[0] == '{' || text[0] == '[' || text[0] <= ' ':
	case strictjson.Check(trimmed, 1) == nil:
		return append(b, bytes.TrimSpace(trimmed)...)
	}
	return strictjson.AppendText(b, text)
}

// append writes a text as its place demands.
func (at place) append(b []byte, text string) ([]byte, bool) {
	switch at {
	case inText:
		quoted := strictjson.AppendText(nil, text)
		return append(b, quoted[1:len(quoted)-1]...), true
	case inQuery:
		return append(b, url.QueryEscape(text)...), true
	case inRest:
		for i, segment := range strings.Split(text, "/") {
			if i > 0 {
				b = append(b, '/')
			}
			if segment == "." || segment == ".." {
				return nil, false
			}
			b = append(b, url.PathEscape(segment)...)
		}
		return b, true
	}
	if text == "" || text == "." || text == ".." {
		return nil, false
	}
	return append(b, url.PathEscape(text)...), true
}

// plain is a JSON value as text: a string, a number, true or false, or a list of these joined by commas.
func plain(raw []byte) (string, bool) {
	s := strictjson.New(raw, depth)
	switch s.Next() {
	case '"':
		text, err := s.Text()
		return string(text), err == nil
	case '{', 'n', 0:
		return "", false
	case '[':
		var list []string
		nested := false
		err := s.Array(func() error {
			element, err := s.Value()
			text, ok := plain(element)
			nested = nested || !ok || element[0] == '['
			list = append(list, text)
			return err
		})
		return strings.Join(list, ","), err == nil && !nested
	}
	return string(bytes.TrimSpace(raw)), true
}
