package exchange

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Peer is the address that the connection comes from.
func (r *Request) Peer() netip.Addr {
	if a, ok := r.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	a, _ := netip.ParseAddrPort(r.RemoteAddr().String())
	return a.Addr().Unmap()
}

// Client is the address of the client: the peer, or what the proxies before headrace say if they are trusted.
func (r *Request) Client() netip.Addr {
	if r.client.IsValid() {
		return r.client
	}
	r.client = r.Peer()
	trusted := r.server.options.Trusted
	if len(trusted) == 0 || !trusted.Contains(r.client) {
		return r.client
	}
	hops := strings.Split(r.list("X-Forwarded-For"), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		a, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		r.client = a.Unmap()
		if !trusted.Contains(r.client) {
			break
		}
	}
	return r.client
}

// Behind tells whether the peer is a proxy that is trusted.
func (r *Request) Behind() bool {
	trusted := r.server.options.Trusted
	return len(trusted) > 0 && trusted.Contains(r.Peer())
}

// Secure tells whether the client speaks TLS, with headrace or with a proxy before it that is trusted.
func (r *Request) Secure() bool {
	if r.IsTLS() || r.Standard != nil && r.Standard.Request.TLS != nil {
		return true
	}
	return r.Behind() && strings.EqualFold(r.list("X-Forwarded-Proto"), "https")
}

// ID names the request in logs and for upstreams: X-Request-Id of a proxy that is trusted, or 16 random characters.
func (r *Request) ID() string {
	if r.id == "" && r.Behind() {
		if id := r.Request.Header.Peek("X-Request-Id"); len(id) > 0 && len(id) <= 128 {
			r.id = string(id)
		}
	}
	if r.id == "" {
		r.id = strconv.FormatUint(rand.Uint64()|1<<63, 16)
	}
	return r.id
}

// list is the value of a header that may be there several times.
func (r *Request) list(name string) string {
	values := r.Request.Header.PeekAll(name)
	if len(values) == 1 {
		return string(values[0])
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ",")
}
