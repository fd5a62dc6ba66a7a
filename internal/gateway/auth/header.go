package auth

import (
	"maps"
	"net/textproto"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
)

// header is one that the upstream gets.
type header struct {
	name, value string // the name in the form of net/http
	key, bytes  []byte // the same
}

func newHeader(name, value string) header {
	name = textproto.CanonicalMIMEHeaderKey(name)
	return header{name, value, []byte(name), []byte(value)}
}

// headers are those that the policy makes, from what, and those that a client must not send.
type headers struct {
	made map[string]string // name to claim
	own  []string          // in lower case
}

func newHeaders(c *config.Auth) *headers {
	h := &headers{made: c.Headers}
	for _, name := range written(c) {
		h.own = append(h.own, strings.ToLower(name))
	}
	return h
}

// Headers are the names of those that a client must not send past a policy, since its auth writes them, or one that is off here does where
// it is not; nil without any.
func Headers(p *config.Policy) (list []string) {
	if p.Auth != nil {
		list = written(p.Auth)
	}
	for _, c := range p.Without {
		list = append(list, written(c)...)
	}
	return list
}

// written are the names of headers that an auth may write to the request.
func written(c *config.Auth) []string {
	list := slices.Collect(maps.Keys(c.Headers))
	if c.Forward != nil {
		list = append(list, c.Forward.Copy...)
	}
	return list
}

// Without stands where auths are off: everybody may ask, and nobody with the headers that they write elsewhere.
func Without(list []*config.Auth) exchange.Policy {
	h := &headers{}
	for _, c := range list {
		h.own = append(h.own, newHeaders(c).own...)
	}
	return exchange.Policy{Admit: func(r *exchange.Request) error {
		h.strip(r)
		return nil
	}}
}

// of makes the headers of somebody. A claim that is not there makes none, and neither does a value that cannot stand in a header.
func (h *headers) of(i *identity.Identity) []header {
	var list []header
	claims := read(i.Claims)
	for name, from := range h.made {
		var value string
		switch from {
		case "sub":
			value = i.Subject
		case "scope":
			value = strings.Join(i.Scopes, " ")
		case "method":
			value = i.Method
		case "key":
			value = i.Key
		default:
			value = claims.text(from)
		}
		if value != "" && strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0 {
			list = append(list, newHeader(name, value))
		}
	}
	return list
}

// strip removes what a client sent under the names of the policy. Many upstreams take X_User for X-User, so that goes, too.
func (h *headers) strip(r *exchange.Request) {
	if len(h.own) == 0 {
		return
	}
	var found []string
	for _, name := range r.Request.Header.PeekKeys() {
		for _, own := range h.own {
			if same(name, own) {
				found = append(found, string(name))
			}
		}
	}
	for _, name := range found {
		r.Request.Header.Del(name)
	}
	if r.Standard != nil {
		for name := range r.Standard.Request.Header {
			for _, own := range h.own {
				if same([]byte(name), own) {
					delete(r.Standard.Request.Header, name)
				}
			}
		}
	}
}

// same compares a name with one in lower case; _ is like -.
func same(name []byte, own string) bool {
	if len(name) != len(own) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		o := own[i]
		if c != o && (c != '_' && c != '-' || o != '_' && o != '-') {
			return false
		}
	}
	return true
}

// set gives the upstream a header, whatever door the request came in by.
func (h *header) set(r *exchange.Request) {
	r.Request.Header.SetCanonical(h.key, h.bytes)
	if r.Standard != nil {
		r.Standard.Request.Header[h.name] = []string{h.value}
	}
}
