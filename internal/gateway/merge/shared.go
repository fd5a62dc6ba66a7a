package merge

import (
	"bytes"
	"net/url"
	"strings"

	"github.com/cespare/xxhash/v2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
)

// shared is what all parts get of the request, copied.
type shared struct {
	lines  []byte // headers
	query  []byte // parameters that are passed on
	params []string
	caller identity.Caller
}

// passed are the headers that parts get unless others are named.
var passed = []string{"Authorization", "Cookie", "Accept-Language"}

func (m *Merge) newShared(r *exchange.Request) *shared {
	s := &shared{lines: make([]byte, 0, 512)}
	line := func(name string, value []byte) {
		if bytes.IndexByte(value, '\r') >= 0 || bytes.IndexByte(value, '\n') >= 0 {
			return
		}
		s.lines = append(append(append(append(s.lines, name...), ": "...), value...), "\r\n"...)
	}
	in := &r.Request.Header
	line("Accept", []byte("application/json"))
	for _, name := range m.headers {
		for _, value := range in.PeekAll(name) {
			line(name, value)
		}
	}
	var hops []byte
	if r.Behind() {
		if hops = bytes.Join(in.PeekAll("X-Forwarded-For"), []byte(", ")); len(hops) > 0 {
			hops = append(hops, ", "...)
		}
	}
	line("X-Forwarded-For", r.Peer().AppendTo(hops))
	proto := "http"
	if r.Secure() {
		proto = "https"
	}
	line("X-Forwarded-Proto", []byte(proto))
	line("X-Forwarded-Host", in.Host())
	line("X-Request-Id", []byte(r.ID()))
	if trace := r.Traceparent(); trace != "" {
		line("Traceparent", []byte(trace))
	}
	for _, p := range r.Params[:m.params] {
		s.params = append(s.params, string(p))
	}
	if len(m.query) > 0 {
		for name, value := range r.QueryArgs().All() {
			if m.query[string(name)] || m.query["*"] {
				s.query = append(append(s.query, '&'), url.QueryEscape(string(name))...)
				s.query = append(append(s.query, '='), url.QueryEscape(string(value))...)
			}
		}
	}
	s.caller = r.Caller(m.deps.Server)
	return s
}

// param implements values together with run.part.
func (s *shared) param(i int) string { return s.params[i] }

// hash is what the upstream of a part hashes by, 0 if it does not.
func hash(c *config.Upstream, r *exchange.Request) uint64 {
	if c.Balance != "hash" {
		return 0
	}
	kind, name, _ := strings.Cut(c.HashBy, ":")
	switch kind {
	case "header":
		return xxhash.Sum64(r.Request.Header.Peek(name))
	case "cookie":
		return xxhash.Sum64(r.Request.Header.Cookie(name))
	}
	address := r.Client().As16()
	return xxhash.Sum64(address[:])
}
