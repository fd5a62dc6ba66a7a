package proxy

import (
	"bytes"
	"net/http"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/internal/exchange"
)

// settled are fields that say how a message is framed, where it goes, who sends it, what it is, or how it is to be dealt with: all of that has been
// decided when the trailers come (RFC 9110, section 6.5.1).
var settled = []string{
	"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings",
	"Host", "Forwarded", "Via", "X-Real-Ip", "X-Request-Id", "Traceparent", "Tracestate", "Origin", "Referer", "Location",
	"Authorization", "Www-Authenticate", "Cookie", "Set-Cookie",
	"Cache-Control", "Pragma", "Expect", "Max-Forwards", "Range", "Realm",
}

// settledWith are how the names of others begin.
var settledWith = []string{"Content-", "Proxy", "If-", "Accept", "X-Forwarded-"}

// follows tells whether a field may follow the body of a request. Digests of a content are made for that (RFC 9530).
func (s *heads) follows(h *head, name []byte) bool {
	for _, prefix := range settledWith {
		if len(name) >= len(prefix) && equal(name[:len(prefix)], prefix) && !equal(name, "Content-Digest") {
			return false
		}
	}
	for _, other := range settled {
		if equal(name, other) {
			return false
		}
	}
	return !isAsserted(name) && !contains(s.protected, name) && !h.isNominated(name) && s.headers.Find(name) == nil &&
		(bytes.IndexByte(name, '_') < 0 || !s.shadows(name))
}

// announce lets the trailers of a chunked request follow its body, and those go ahead by name that the client has announced. Of a body that a policy
// decodes they may not be true.
func (x *passage) announce(r *exchange.Request) {
	if r.Decodes() {
		return
	}
	x.asked, x.call.Tail = r, x.last
	mark := len(x.head.bytes)
	separator := "Trailer: "
	for name := range announced(r) {
		if x.proxy.heads.follows(&x.head, name) {
			x.head.bytes = append(append(x.head.bytes, separator...), name...)
			separator = ", "
		}
	}
	if len(x.head.bytes) > mark {
		x.head.bytes = append(x.head.bytes, crlf...)
	}
	x.call.Head = x.head.bytes
}

// announced are the names of trailers that may come.
func announced(r *exchange.Request) func(func([]byte) bool) {
	if r.Standard == nil {
		return r.Request.Header.Trailers()
	}
	return func(yield func([]byte) bool) {
		for name := range r.Standard.Request.Trailer {
			if !yield([]byte(name)) {
				return
			}
		}
	}
}

// tail is the trailers that have come, as header lines.
func (x *passage) tail() (lines []byte) {
	add := func(name, value []byte) {
		if x.proxy.heads.follows(&x.head, name) {
			lines = append(append(lines, name...), ": "...)
			lines = append(append(lines, value...), crlf...)
		}
	}
	if s := x.asked.Standard; s != nil {
		for name, values := range s.Request.Trailer {
			for _, value := range values {
				if valid(name, value) {
					add([]byte(name), []byte(value))
				}
			}
		}
		return lines
	}
	received(&x.asked.Request.Header, add)
	return lines
}

// received are the trailers of a request of HTTP/1.1, once its body was read to the end.
func received(h *fasthttp.RequestHeader, yield func(name, value []byte)) {
	for rest := h.TrailerHeader(); ; {
		var line []byte
		line, rest, _ = bytes.Cut(rest, crlf)
		name, value, ok := bytes.Cut(line, []byte(": "))
		if !ok {
			return
		}
		if valid(string(name), string(value)) {
			yield(name, value)
		}
	}
}

func valid(name, value string) bool {
	return httpguts.ValidHeaderFieldName(name) && httpguts.ValidHeaderFieldValue(value)
}

// follow gives a body that goes on in HTTP/2 its trailers: those that the client has announced, as HTTP/2 has it.
func (x *passage) follow(r *exchange.Request, body *lent) {
	if r.Decodes() {
		return
	}
	for name := range announced(r) {
		if x.proxy.heads.follows(&x.head, name) {
			if body.trailer == nil {
				body.trailer = http.Header{}
			}
			body.trailer[http.CanonicalHeaderKey(string(name))] = nil
		}
	}
	if body.trailer == nil {
		return
	}
	if s := r.Standard; s != nil {
		body.arrived = func() {
			for name := range body.trailer {
				body.trailer[name] = s.Request.Trailer[name]
			}
		}
		return
	}
	header := &r.Request.Header
	body.arrived = func() {
		received(header, func(name, value []byte) {
			key := http.CanonicalHeaderKey(string(name))
			if _, known := body.trailer[key]; known {
				body.trailer[key] = append(body.trailer[key], string(value))
			}
		})
	}
}
