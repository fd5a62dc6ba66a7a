package exchange

import (
	"bytes"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/problem"
)

// strict refuses what a service behind, or a proxy before, could understand otherwise, of what fasthttp takes: HR1011, HR4002 or HR4003 with 400, and
// HR4011 with 501 for methods that no resource has, TRACE and CONNECT. It also brings the target into the form that begins with a slash, and Host into one without a dot
// at its end. The rest, such as Content-Length that comes twice or is no number, fasthttp has refused before.
func strict(r *fasthttp.Request) error {
	h := &r.Header
	if !h.IsHTTP11() && string(h.Protocol()) != "HTTP/1.0" {
		return problem.New("HR1011", "%s is not spoken here", h.Protocol())
	}
	switch method := h.Method(); {
	case len(method) == 7 && string(method) == "CONNECT", len(method) == 5 && string(method) == "TRACE":
		return problem.New("HR4011", "%s is not served", method)
	case len(method) > maxMethod:
		return problem.New("HR1011", "the method is longer than %d bytes", maxMethod)
	}
	if err := strictLines(h.RawHeaders()); err != nil {
		return err
	}
	host := h.Host()
	if uri := h.RequestURI(); len(uri) > 0 && uri[0] != '/' {
		if err := absolute(r, uri, host); err != nil {
			return err
		}
	}
	if len(host) > 0 || h.IsHTTP11() { // HTTP/1.0 knows none
		name, ok := authority(host)
		if !ok {
			return problem.New("HR4002", "Host %.200q is not valid", host)
		}
		if name != nil {
			h.SetHostBytes(name)
			r.SetRequestURIBytes(h.RequestURI()) // which was parsed with the host
		}
	}
	return nil
}

// maxMethod is the length of the longest method.
const maxMethod = 32

// strictLines looks at the lines of a head: all end with CRLF, none is folded, names have no spaces, and the length of the body is told in one way.
// That names and values have no other byte that they must not have is seen to by fasthttp.
func strictLines(raw []byte) error {
	length, coding := false, false
	for len(raw) > 0 {
		end := bytes.IndexByte(raw, '\n')
		if end < 1 || raw[end-1] != '\r' {
			return problem.New("HR1011", "a line of the head does not end with CR and LF")
		}
		line := raw[:end-1]
		raw = raw[end+1:]
		n := bytes.IndexByte(line, ':')
		if n < 1 || bytes.IndexByte(line[:n], ' ') >= 0 || line[0] == '\t' {
			if len(line) == 0 { // the end
				break
			}
			return problem.New("HR4003", "%.80q is not a header", line)
		}
		switch name := line[:n]; {
		case n == len("Content-Length") && bytes.EqualFold(name, []byte("Content-Length")):
			length = true
		case n == len("Transfer-Encoding") && bytes.EqualFold(name, []byte("Transfer-Encoding")):
			if !bytes.EqualFold(bytes.Trim(line[n+1:], " \t"), []byte("chunked")) {
				return problem.New("HR4003", "Transfer-Encoding is %.80q", line[n+1:])
			}
			coding = true
		}
	}
	if length && coding {
		return problem.New("HR4003", "the request has both Content-Length and Transfer-Encoding")
	}
	return nil
}

// authority tells whether this is a host with or without a port. If it has a dot at its end, which means the same, name is the authority without.
func authority(host []byte) (name []byte, ok bool) {
	i := 0
	if len(host) > 0 && host[0] == '[' {
		for i = 1; i < len(host) && (host[i] == ':' || host[i] == '.' || isHex(host[i])); i++ {
		}
		if i < 4 || i == len(host) || host[i] != ']' {
			return nil, false
		}
		i++
	} else {
		for dot := byte(isDot); i < len(host); i++ {
			kind := hostname[host[i]]
			if kind == 0 || kind&dot == isDot { // the end, or an empty label
				break
			}
			dot = kind
		}
		if i == 0 || i < len(host) && host[i] != ':' {
			return nil, false
		}
	}
	if i < len(host) {
		port := 0
		if len(host)-i > 6 {
			return nil, false
		}
		for _, c := range host[i+1:] {
			if c < '0' || c > '9' {
				return nil, false
			}
			port = port*10 + int(c-'0')
		}
		if host[i] != ':' || port > 65535 {
			return nil, false
		}
	}
	if host[i-1] == '.' {
		name = append(append(make([]byte, 0, len(host)), host[:i-1]...), host[i:]...)
	}
	return name, true
}

// absolute makes a target such as proxies are asked for one that begins with a slash. Its host must be that of the request.
func absolute(r *fasthttp.Request, uri, host []byte) error {
	if string(uri) == "*" { // fasthttp takes it for OPTIONS alone
		return nil
	}
	scheme, rest, ok := bytes.Cut(uri, []byte("://"))
	if !ok || !bytes.EqualFold(scheme, []byte("http")) && !bytes.EqualFold(scheme, []byte("https")) {
		return problem.New("HR1011", "the target %.80q does not begin with a slash", uri)
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if len(host) == 0 || !bytes.EqualFold(rest[:end], host) {
		return problem.New("HR4002", "the target names the host %.200q, and Host is %.200q", rest[:end], host)
	}
	path := rest[end:]
	if len(path) == 0 || path[0] != '/' {
		path = append([]byte("/"), path...)
	}
	r.SetRequestURIBytes(path)
	return nil
}

func isHex(c byte) bool { return '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'f' }

const isDot = 2

// hostname are the bytes of a host; that between its labels is isDot.
var hostname = func() (kinds [256]byte) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		kinds[c] = 1
	}
	kinds['.'] = isDot
	return kinds
}()
