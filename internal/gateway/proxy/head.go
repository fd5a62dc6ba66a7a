package proxy

import (
	"bytes"
	"net/netip"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/edit"
	"github.com/headrace/headrace/internal/gateway/template"
	"github.com/headrace/headrace/internal/problem"
)

// heads makes the heads of requests for upstreams.
type heads struct {
	rewrite   *template.Template // nil keeps the path
	ownQuery  bool               // the rewritten path has one
	headers   edit.Headers
	query     edit.Query
	host      *edit.Header
	own       [owned]bool // headers that headrace writes unless they are edited
	protected [][]byte    // headers that policies write, which Connection cannot remove
}

// The headers that headrace writes. What the client sent in their place counts only if it is a proxy that is trusted.
const (
	forwardedFor = iota
	forwardedHost
	forwardedProto
	forwarded
	realIP
	requestID
	traceparent
	owned
)

var ownNames = [owned]string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Real-Ip", "X-Request-Id", "Traceparent"}

// asserted are what proxies say beside: who the client is, and which address it asked for. Some frameworks believe them, and serve that address.
var asserted = []string{
	"X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl", "X-Forwarded-Scheme", "X-Forwarded-Uri", "X-Forwarded-Method", "X-Forwarded-Path",
	"X-Original-Url", "X-Original-Uri", "X-Original-Host", "X-Original-Method", "X-Rewrite-Url", "X-Url-Scheme", "X-Client-Ip", "X-Cluster-Client-Ip",
}

func isAsserted(name []byte) bool {
	for _, other := range asserted {
		if equal(name, other) {
			return true
		}
	}
	return false
}

func newHeads(c *config.Route, e *config.Edit, protected []string) (*heads, error) {
	h := &heads{}
	var err error
	if c.Rewrite != "" {
		if h.rewrite, err = template.NewPath(c.Rewrite, c.Match); err != nil {
			return nil, problem.From(err).Of("rewrite")
		}
		h.ownQuery = bytes.IndexByte([]byte(c.Rewrite), '?') >= 0
	}
	if e != nil {
		if h.headers, err = edit.NewHeaders(e.Request, c.Match, "edit.request"); err != nil {
			return nil, err
		}
		if h.query, err = edit.NewQuery(e.Query, c.Match); err != nil {
			return nil, err
		}
	}
	if host := h.headers.Find([]byte("Host")); host != nil {
		if host.Value == nil {
			return nil, problem.New("HR9003", "a request needs a Host").Of("edit.request.Host").Hinting("set it to another one, or leave it")
		}
		h.host = host
	}
	for i, name := range ownNames {
		h.own[i] = h.headers.Find([]byte(name)) == nil
	}
	for _, name := range protected {
		h.protected = append(h.protected, []byte(name))
	}
	return h, nil
}

// head is what is made of one request; its buffers are used again.
type head struct {
	bytes   []byte // request line and header lines
	te      bool   // the client takes trailers
	upgrade []byte // the protocol that the client wants to go on with; nil if none

	raw, clean  []byte
	nominated   [][]byte // headers that Connection names; they do not go on
	settled     bool     // nominated is what it stays
	switching   bool     // Connection says upgrade
	addresses   []byte   // X-Forwarded-For of a proxy that is trusted
	hops        []byte   // Forwarded likewise
	host, proto []byte   // X-Forwarded-Host and -Proto likewise
	protocol    []byte   // Upgrade
}

func (h *head) reset() {
	*h = head{bytes: h.bytes[:0], raw: h.raw[:0], clean: h.clean[:0], nominated: h.nominated[:0], addresses: h.addresses[:0], hops: h.hops[:0]}
}

var crlf = []byte("\r\n")

// compose writes the head of the request for upstreams.
func (s *heads) compose(h *head, r *exchange.Request) error {
	h.reset()
	in := &r.Request.Header
	host := in.Host()
	if err := checkHost(host); err != nil {
		return err
	}
	if in.IsConnect() {
		return problem.New("HR4011", "method CONNECT is not passed on")
	}
	if in.ContentLength() == -1 && hasRaw(in.RawHeaders(), "Content-Length") {
		return problem.New("HR4003", "the request has both Content-Length and Transfer-Encoding")
	}
	h.bytes = append(append(h.bytes, in.Method()...), ' ')
	if err := s.target(h, r, host); err != nil {
		return err
	}
	h.bytes = append(h.bytes, " HTTP/1.1\r\nHost: "...)
	if s.host != nil {
		from := len(h.bytes)
		h.bytes, _ = s.host.Value.Append(h.bytes, r)
		if err := checkHost(h.bytes[from:]); err != nil {
			return err
		}
	} else {
		h.bytes = append(h.bytes, host...)
	}
	h.bytes = append(h.bytes, crlf...)

	behind := r.Behind()
	trace := r.Traceparent()
	in.SetNoDefaultContentType(true)
	h.raw = in.AppendBytes(h.raw)
	mark := len(h.bytes)
	if err := s.pass(h, behind, trace != ""); err != nil {
		return err
	}
	if len(h.nominated) > 0 {
		h.bytes, h.addresses, h.hops = h.bytes[:mark], h.addresses[:0], h.hops[:0]
		h.keep(s, in.RawHeaders())
		if err := s.pass(h, behind, trace != ""); err != nil {
			return err
		}
	}
	if h.switching && len(h.protocol) > 0 && tunnels(h.protocol) && in.IsGet() && in.IsHTTP11() && in.ContentLength() <= 0 && in.ContentLength() != -1 {
		h.upgrade = h.protocol
		h.line("Upgrade", h.upgrade)
	}
	s.forward(h, r, host)
	if s.own[requestID] {
		h.bytes = append(append(h.bytes, "X-Request-Id: "...), r.ID()...)
		h.bytes = append(h.bytes, crlf...)
	}
	if trace != "" && s.own[traceparent] {
		h.bytes = append(append(h.bytes, "Traceparent: "...), trace...)
		h.bytes = append(h.bytes, crlf...)
	}
	for i := range s.headers {
		e := &s.headers[i]
		if e.Value == nil || e == s.host {
			continue
		}
		mark := len(h.bytes)
		h.bytes = append(append(h.bytes, e.Name...), ": "...)
		from := len(h.bytes)
		if h.bytes, _ = e.Value.Append(h.bytes, r); len(h.bytes) == from {
			h.bytes = h.bytes[:mark]
		} else {
			h.bytes = append(h.bytes, crlf...)
		}
	}
	return nil
}

// target writes the path and the query.
func (s *heads) target(h *head, r *exchange.Request, host []byte) error {
	path, query, err := target(r.Request.Header.RequestURI(), host, h.clean)
	if err != nil {
		return err
	}
	if s.rewrite == nil {
		h.bytes = append(h.bytes, path...)
	} else {
		from, ok := len(h.bytes), false
		if h.bytes, ok = s.rewrite.Append(h.bytes, r); !ok {
			return badPath("its parts do not fit into the path of the upstream")
		}
		for len(h.bytes) > from+1 && h.bytes[from+1] == '/' {
			h.bytes = append(h.bytes[:from], h.bytes[from+1:]...)
		}
	}
	mark := len(h.bytes)
	h.bytes = append(h.bytes, '?')
	if s.ownQuery {
		h.bytes[mark] = '&'
	}
	if len(s.query) > 0 {
		h.bytes = s.query.Append(h.bytes, query, r)
	} else {
		h.bytes = append(h.bytes, query...)
	}
	if len(h.bytes) == mark+1 {
		h.bytes = h.bytes[:mark]
	}
	return nil
}

// pass writes the header lines that go on as they are, and takes note of those that do not.
func (s *heads) pass(h *head, behind, traced bool) error {
	rest := h.raw[bytes.IndexByte(h.raw, '\n')+1:]
	for {
		end := bytes.IndexByte(rest, '\n') + 1
		if end <= 2 {
			return nil
		}
		line := rest[:end]
		rest = rest[end:]
		colon, score := 0, false
		for line[colon] != ':' {
			switch line[colon] {
			case '_':
				score = true
			case ' ', '\n':
				return problem.New("HR4003", "%.80q is not the name of a header", line)
			}
			colon++
		}
		name, value := line[:colon], line[colon+2:end-2]
		switch string(name) {
		case "Host", "Content-Length", "Transfer-Encoding", "Keep-Alive", "Proxy-Connection", "Trailer", "Expect", "Proxy-Authenticate",
			"Proxy-Authorization", "Http2-Settings", "Proxy", "X-Real-Ip", "X-Request-Id", "Traceparent":
			continue
		case "Connection":
			h.connection(value)
			continue
		case "Te":
			h.te = h.te || names(value, "trailers")
			continue
		case "Upgrade":
			h.protocol = value
			continue
		case "X-Forwarded-For":
			if behind {
				h.addresses = appendList(h.addresses, value)
			}
			continue
		case "Forwarded":
			if behind {
				h.hops = appendList(h.hops, value)
			}
			continue
		case "X-Forwarded-Host":
			if behind {
				h.host = value
			}
			continue
		case "X-Forwarded-Proto":
			if behind {
				h.proto = value
			}
			continue
		case "Tracestate":
			if !traced {
				continue
			}
		default:
			if !behind && name[0] == 'X' && isAsserted(name) && !contains(s.protected, name) {
				continue
			}
		}
		if len(s.headers) > 0 && s.headers.Find(name) != nil || score && s.shadows(name) || len(h.nominated) > 0 && h.isNominated(name) {
			continue
		}
		h.bytes = append(h.bytes, line...)
	}
}

// connection reads the header Connection.
func (h *head) connection(value []byte) {
	for len(value) > 0 {
		var option []byte
		option, value, _ = bytes.Cut(value, []byte(","))
		option = bytes.TrimSpace(option)
		switch {
		case len(option) == 0 || equal(option, "close") || equal(option, "keep-alive") || equal(option, "te") || equal(option, "http2-settings"):
		case equal(option, "upgrade"):
			h.switching = true
		case !h.settled && !h.isNominated(option):
			h.nominated = append(h.nominated, option)
		}
	}
}

// keep leaves among the nominated headers those that the client may take away: none that is meant for the service by what it is, none
// that policies write, and none that does not have the value that the client sent.
func (h *head) keep(s *heads, raw []byte) {
	kept := h.nominated[:0]
	for _, name := range h.nominated {
		if len(name) > 8 && bytes.EqualFold(name[:8], []byte("content-")) || equal(name, "authorization") || equal(name, "cookie") || equal(name, "cache-control") {
			continue
		}
		if !contains(s.protected, name) && h.same(name, raw) {
			kept = append(kept, name)
		}
	}
	h.nominated, h.settled = kept, true
}

// same tells whether a header has all the values that the client sent, and no others.
func (h *head) same(name, raw []byte) bool {
	now, sent := values(h.raw[bytes.IndexByte(h.raw, '\n')+1:], name), values(raw, name)
	if len(now) != len(sent) {
		return false
	}
	for i := range now {
		if !bytes.Equal(now[i], sent[i]) {
			return false
		}
	}
	return true
}

func (h *head) isNominated(name []byte) bool { return contains(h.nominated, name) }

func contains(list [][]byte, name []byte) bool {
	for _, other := range list {
		if bytes.EqualFold(other, name) {
			return true
		}
	}
	return false
}

// shadows tells whether a name with underscores is that of a header that headrace or a policy writes: services that are run like CGI scripts do
// not tell the two apart.
func (s *heads) shadows(name []byte) bool {
	hyphens := bytes.ReplaceAll(name, []byte("_"), []byte("-"))
	for _, own := range ownNames {
		if equal(hyphens, own) {
			return true
		}
	}
	for i := range s.headers {
		if equal(hyphens, s.headers[i].Name) {
			return true
		}
	}
	return isAsserted(hyphens) || contains(s.protected, hyphens) || equal(hyphens, "content-length") || equal(hyphens, "transfer-encoding")
}

// forward writes who the client is.
func (s *heads) forward(h *head, r *exchange.Request, host []byte) {
	peer, proto := r.Peer(), "http"
	if r.Secure() {
		proto = "https"
	}
	if len(h.host) == 0 || checkHost(h.host) != nil {
		h.host = host
	}
	if s.own[forwardedFor] {
		h.bytes = append(h.bytes, "X-Forwarded-For: "...)
		if len(h.addresses) > 0 {
			h.bytes = append(append(h.bytes, h.addresses...), ", "...)
		}
		h.bytes = append(peer.AppendTo(h.bytes), crlf...)
	}
	if s.own[forwardedHost] {
		h.line("X-Forwarded-Host", h.host)
	}
	if s.own[forwardedProto] {
		h.bytes = append(append(h.bytes, "X-Forwarded-Proto: "...), proto...)
		h.bytes = append(h.bytes, crlf...)
	}
	if s.own[realIP] {
		h.bytes = append(r.Client().AppendTo(append(h.bytes, "X-Real-Ip: "...)), crlf...)
	}
	if s.own[forwarded] {
		h.bytes = append(h.bytes, "Forwarded: "...)
		if len(h.hops) > 0 {
			h.bytes = append(append(h.bytes, h.hops...), ", "...)
		}
		h.bytes = appendHop(h.bytes, peer, host, proto)
		h.bytes = append(h.bytes, crlf...)
	}
}

// appendHop writes an element of Forwarded (RFC 7239).
func appendHop(b []byte, peer netip.Addr, host []byte, proto string) []byte {
	b = append(b, "for="...)
	switch {
	case peer.Is6():
		b = append(peer.AppendTo(append(b, `"[`...)), `]"`...)
	case peer.IsValid():
		b = peer.AppendTo(b)
	default:
		b = append(b, "unknown"...)
	}
	b = append(b, ";host="...)
	if bytes.ContainsAny(host, ":[]") {
		b = append(append(append(b, '"'), host...), '"')
	} else {
		b = append(b, host...)
	}
	return append(append(b, ";proto="...), proto...)
}

func (h *head) line(name string, value []byte) {
	h.bytes = append(append(h.bytes, name...), ": "...)
	h.bytes = append(append(h.bytes, value...), crlf...)
}
