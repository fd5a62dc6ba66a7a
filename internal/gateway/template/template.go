// Package template makes texts with values of a request in them: paths for upstreams, addresses to send clients to, and values of headers.
package template

import (
	"net/url"
	"strings"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// Template is a compiled text. It is read by many goroutines.
type Template struct {
	parts []part
}

// part is a text, or a value if there is a source.
type part struct {
	text  string
	from  source
	index int    // of a parameter
	name  string // of a claim
	class Class  // of what may stand here
}

// Class is what may stand as it is where a value is put; anything else is escaped, or replaced in a value.
type Class byte

// The classes.
const (
	Value   Class = iota // of a header: anything but control bytes
	Path                 // of an address, in which slashes stay
	Segment              // one segment of a path
	Query                // name or value of a query
	Host                 // a label of a host; anything else makes the whole unusable
)

// Path and address templates hold the parameters of the path. Values of headers and the query may hold facts of the request, too.

// NewPath compiles a path for upstreams, which may end in a query. pattern is the match of the route.
func NewPath(text, pattern string) (*Template, error) {
	if !strings.HasPrefix(text, "/") || strings.HasPrefix(text, "//") {
		return nil, problem.New("HR9003", "%q is not a path", text).Hinting("begin with one /")
	}
	return compile(text, pattern, false, Path)
}

// NewAddress compiles an address: a path, or a scheme, host and path. A host may hold parameters, but must not end in one, since clients could
// be sent anywhere then.
func NewAddress(text, pattern string) (*Template, error) {
	if strings.HasPrefix(text, "/") {
		return NewPath(text, pattern)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok || scheme == "" || strings.ContainsAny(scheme, "{}/?#") {
		return nil, problem.New("HR9003", "%q is not an address", text).Hinting("begin with / or https://")
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host := rest[:end]
	if host == "" || strings.ContainsAny(host, `@\ `) || strings.HasSuffix(host, "}") || strings.Contains(host, "{*}") {
		return nil, problem.New("HR9003", "clients could be sent anywhere by the host of %q", text).Hinting("end the host in a fixed text, as in https://{name}.example.com")
	}
	head, err := compile(scheme+"://"+host, pattern, false, Host)
	if err != nil {
		return nil, err
	}
	tail, err := compile(rest[end:], pattern, false, Path)
	if err != nil {
		return nil, err
	}
	return &Template{append(head.parts, tail.parts...)}, nil
}

// NewValue compiles a value of a header or of the query.
func NewValue(text, pattern string, class Class) (*Template, error) {
	return compile(text, pattern, true, class)
}

func compile(text, pattern string, facts bool, class Class) (*Template, error) {
	for i := range len(text) {
		if text[i] < ' ' || text[i] == 0x7f || class != Value && class != Query && text[i] == ' ' {
			return nil, problem.New("HR9003", "%q holds a control character or a space", text).Hinting("remove it")
		}
	}
	t := &Template{}
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "{")
		if before != "" {
			if class == Path && strings.ContainsAny(before, "?#") {
				class = Query
			}
			if class == Query && facts { // a plain value, which stands in a query as a whole
				before = url.QueryEscape(before)
			}
			t.parts = append(t.parts, part{text: before})
		}
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return nil, problem.New("HR9003", "a brace of %q is not closed", text).Hinting("write parameters as {name}")
		}
		p, ok := find(name, pattern, facts)
		if !ok {
			return nil, problem.New("HR9003", "there is no {%s} for %q", name, text).Hinting("name a parameter of match")
		}
		if p.class = class; class == Path && name != "*" {
			p.class = Segment
		}
		t.parts = append(t.parts, p)
		rest = tail
	}
	return t, nil
}

// find is the part of a name.
func find(name, pattern string, facts bool) (part, bool) {
	index := 0
	for segment := range strings.SplitSeq(pattern, "/") {
		param, ok := strings.CutPrefix(segment, "{")
		if !ok {
			continue
		}
		if strings.TrimSuffix(param, "}") == name {
			return part{from: parameter, index: index}, true
		}
		index++
	}
	if name == "*" && strings.HasSuffix(pattern, "/*") && index < len(exchange.Request{}.Params) {
		return part{from: parameter, index: index}, true
	}
	if !facts {
		return part{}, false
	}
	if claim, ok := strings.CutPrefix(name, "claim."); ok && claim != "" {
		return part{from: claimed, name: claim}, true
	}
	from, ok := sources[name]
	return part{from: from}, ok
}

// Fixed is the text if it holds no values.
func (t *Template) Fixed() (string, bool) {
	text := ""
	for _, p := range t.parts {
		if p.from != literal {
			return "", false
		}
		text += p.text
	}
	return text, true
}

// Append adds the text for a request. It is false if a value cannot stand where it should, as a slash in a host.
func (t *Template) Append(b []byte, r *exchange.Request) ([]byte, bool) {
	ok := true
	for i := range t.parts {
		p := &t.parts[i]
		if p.from == literal {
			b = append(b, p.text...)
			continue
		}
		from := len(b)
		b = p.append(b, r)
		var valid bool
		b, valid = escape(b, from, p.class)
		ok = ok && valid
	}
	return b, ok
}
