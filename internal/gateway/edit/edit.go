// Package edit changes headers and the query: those of the request for upstreams, and those of the answer for clients.
package edit

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/template"
	"github.com/headrace/headrace/internal/problem"
)

// Headers are changes of headers.
type Headers []Header

// Header is a change of one: a value that is set, or none if it is removed.
type Header struct {
	Name  string // in the form that fasthttp gives it
	Value *template.Template
}

// framing are headers that belong to a connection or to the framing of a body, which nobody may set.
var framing = []string{"Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Te", "Trailer", "Expect", "Keep-Alive", "Proxy-Connection"}

// NewHeaders compiles changes. pattern is the match of the route, key what an error names, as in edit.request. HR9003 for what cannot be a header.
func NewHeaders(values map[string]string, pattern, key string) (Headers, error) {
	var list Headers
	for _, name := range slices.Sorted(maps.Keys(values)) {
		h := Header{Name: string(fasthttp.AppendNormalizedHeaderKey(nil, name))}
		if !Token(h.Name) || slices.Contains(framing, h.Name) {
			return nil, problem.New("HR9003", "%q is not a header that can be set", name).Of(key + "." + name).Hinting("remove it")
		}
		if slices.ContainsFunc(list, func(other Header) bool { return other.Name == h.Name }) {
			return nil, problem.New("HR9003", "the header %s is set twice", h.Name).Of(key + "." + name).Hinting("remove one of the two")
		}
		if values[name] != "" {
			var err error
			if h.Value, err = template.NewValue(values[name], pattern, template.Value); err != nil {
				return nil, problem.From(err).Of(key + "." + name)
			}
		}
		list = append(list, h)
	}
	return list, nil
}

// Token tells whether a text can be the name of a header.
func Token(name string) bool {
	for i := range len(name) {
		if c := name[i]; (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return name != ""
}

// Find is the change of a header, nil if it has none.
func (h Headers) Find(name []byte) *Header {
	for i := range h {
		if h[i].Name == string(name) {
			return &h[i]
		}
	}
	return nil
}

var scratch = sync.Pool{New: func() any { b := make([]byte, 0, 256); return &b }}

// Response is the policy that changes the headers of answers; nothing if there is nothing to change.
func Response(e *config.Edit, pattern string) (exchange.Policy, error) {
	if e == nil || len(e.Response) == 0 {
		return exchange.Policy{}, nil
	}
	list, err := NewHeaders(e.Response, pattern, "edit.response")
	if err != nil {
		return exchange.Policy{}, err
	}
	return exchange.Policy{Finish: func(r *exchange.Request) {
		b := scratch.Get().(*[]byte)
		for i := range list {
			*b = (*b)[:0]
			if list[i].Value != nil {
				*b, _ = list[i].Value.Append(*b, r)
			}
			if len(*b) > 0 {
				r.Response.Header.SetBytesV(list[i].Name, *b)
			} else {
				r.Response.Header.Del(list[i].Name)
			}
		}
		scratch.Put(b)
	}}, nil
}
