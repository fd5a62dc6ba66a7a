package cache

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/url"
	"strings"

	"github.com/headrace/headrace/internal/exchange"
)

// id stands for a key. Two of 128 bits that are equal by chance are not to be expected, and the seeds are secret.
type id struct{ a, b uint64 }

func (s *Store) hash(key []byte) id {
	return id{maphash.Bytes(s.seeds[0], key), maphash.Bytes(s.seeds[1], key)}
}

// appendPart appends a part of a key so that no two lists of parts are one key.
func appendPart(b, part []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(part))), part...)
}

// appendURI appends what the request asks for, byte by byte as the upstream sees it: nothing is normalised that the upstream may take
// differently. Both names of the host count: that of the request line, and the header.
func appendURI(b []byte, r *exchange.Request, target []byte) []byte {
	scheme := byte('p')
	if r.Secure() {
		scheme = 's'
	}
	b = append(b, scheme)
	b = appendLower(b, r.Host())
	b = appendLower(b, r.Request.Header.Host())
	b = appendPart(b, target)
	if r.Behind() { // the proxy before headrace is believed, and the upstream sees it
		b = appendPart(b, r.Request.Header.Peek("X-Forwarded-Host"))
	}
	return b
}

func appendLower(b, text []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(text)))
	for _, c := range text {
		if c >= 'A' && c <= 'Z' {
			c |= 0x20
		}
		b = append(b, c)
	}
	return b
}

// appendRest appends what the policy makes part of the key beside the address.
func (p *policy) appendRest(b []byte, r *exchange.Request) []byte {
	b = appendPart(b, []byte(p.route))
	for _, name := range p.c.Headers {
		b = appendField(b, r, name)
	}
	for _, name := range p.c.Cookies {
		b = appendPart(b, r.Request.Header.Cookie(name))
	}
	if p.c.Private {
		if i := r.Identity; i != nil {
			b = appendPart(append(b, 'i'), []byte(i.Method))
			b = appendPart(b, []byte(i.Subject))
			b = appendPart(b, []byte(i.Key))
			for _, scope := range i.Scopes {
				b = appendPart(b, []byte(scope))
			}
			b = appendPart(b, i.Claims)
		} else {
			b = appendPart(append(b, 'a'), r.Request.Header.Peek("Authorization"))
		}
	}
	return b
}

// filter removes the parameters of the query that are not part of the key, so that the upstream does not see them either. It works on the
// bytes of the request line: what is left is left as it was written.
func (p *policy) filter(r *exchange.Request, buffer []byte) []byte {
	if len(p.c.QueryOnly) == 0 && len(p.c.QueryIgnore) == 0 {
		return buffer
	}
	whole := r.Request.Header.RequestURI()
	path, query, ok := bytes.Cut(whole, []byte("?"))
	if !ok {
		return buffer
	}
	buffer = append(buffer[:0], path...)
	mark := len(buffer)
	for len(query) > 0 {
		var pair []byte
		pair, query, _ = bytes.Cut(query, []byte("&"))
		name, _, _ := bytes.Cut(pair, []byte("="))
		if len(pair) == 0 || !p.keeps(name) {
			continue
		}
		if len(buffer) == mark {
			buffer = append(buffer, '?')
		} else {
			buffer = append(buffer, '&')
		}
		buffer = append(buffer, pair...)
	}
	if len(buffer) == len(whole) {
		return buffer
	}
	if r.Standard != nil {
		_, r.Standard.Request.URL.RawQuery, _ = strings.Cut(string(buffer), "?")
	}
	r.Request.SetRequestURIBytes(buffer)
	return buffer
}

// keeps tells whether a parameter is part of the key.
func (p *policy) keeps(name []byte) bool {
	if bytes.ContainsAny(name, "%+") {
		if plain, err := url.QueryUnescape(string(name)); err == nil {
			name = []byte(plain)
		}
	}
	return (len(p.c.QueryOnly) == 0 || fits(p.c.QueryOnly, name)) && !fits(p.c.QueryIgnore, name)
}

func fits(list []string, name []byte) bool {
	for _, pattern := range list {
		if begin, ok := strings.CutSuffix(pattern, "*"); ok {
			if len(name) >= len(begin) && string(name[:len(begin)]) == begin {
				return true
			}
		} else if string(name) == pattern {
			return true
		}
	}
	return false
}

// unkeyed are headers that frameworks are known to make addresses, hosts or methods from. A client could put what they say into an answer
// that is kept for everybody, so the upstream does not see them on routes with a cache, unless they are part of the key.
var unkeyed = []string{
	"X-Forwarded-Scheme", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Path", "X-Forwarded-Server", "X-Forwarded-Uri", "X-Forwarded-Ssl",
	"X-Host", "X-Http-Host-Override", "X-Original-Host", "X-Original-Url", "X-Original-Uri", "X-Rewrite-Url", "X-Url-Scheme", "Front-End-Https",
	"X-Http-Method", "X-Http-Method-Override", "X-Method-Override", "X-Forwarded-Method", "X-Http-Destinationurl", "X-Wap-Profile", "Profile",
}

// believed are those that only a proxy that is trusted may send.
var believed = []string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"}

// clean removes from the request what is not part of the key and could change the answer.
func (p *policy) clean(r *exchange.Request) {
	remove := func(name string) {
		r.Request.Header.Del(name)
		if r.Standard != nil {
			r.Standard.Request.Header.Del(name)
		}
	}
	for _, name := range p.unkeyed {
		remove(name)
	}
	if !r.Behind() {
		for _, name := range believed {
			remove(name)
		}
	}
}
