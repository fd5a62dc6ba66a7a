package proxy

import (
	"bytes"

	"github.com/headrace/headrace/internal/problem"
)

// target takes the target of a request apart. The path is that which the client sent, because services may tell %2F from /; routes are
// matched with its decoded and cleaned form, though. So what a service could understand as another path than the one that was matched is refused
// or cleaned:
//
//   - segments . and .. are removed, and empty ones with them; several slashes at the beginning become one;
//   - refused are . and .. that are hidden by escapes (twice, too), by backslashes or by parameters as in /..;/, escapes that are broken,
//     NUL, control bytes and #.
//
// Of an absolute target, as clients send it to proxies, the host must be that of the request. clean is a buffer that is used if the path
// needs cleaning.
func target(uri, host, clean []byte) (path, query []byte, err error) {
	path = uri
	if len(uri) > 0 && uri[0] != '/' {
		if path, err = origin(uri, host); err != nil {
			return nil, nil, err
		}
	}
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path, query = path[:i], path[i+1:]
		if bytes.IndexByte(query, '#') >= 0 {
			return nil, nil, badPath("it holds #")
		}
	}
	if len(path) == 0 {
		path = []byte("/")
	}
	odd := len(path) > 1 && path[1] == '/'
	dotted := false
	for i, c := range path {
		switch {
		case c == '.' && path[max(i-1, 0)] == '/':
			dotted = true
		case c == '%', c == '\\', c == ';':
			odd = true
		case c == '#':
			return nil, nil, badPath("it holds #")
		case c <= ' ' || c == 0x7f:
			return nil, nil, badPath("it holds a control character")
		}
	}
	if odd {
		if err := hidden(path); err != nil {
			return nil, nil, err
		}
		for len(path) > 1 && path[1] == '/' {
			path = path[1:]
		}
	}
	if dotted && dots(path) {
		path = resolve(clean[:0], path)
	}
	return path, query, nil
}

func badPath(why string) error { return problem.New("HR4001", "the path cannot be passed on: %s", why) }

// origin is the path of an absolute target.
func origin(uri, host []byte) ([]byte, error) {
	scheme, rest, ok := bytes.Cut(uri, []byte("://"))
	if !ok || !bytes.EqualFold(scheme, []byte("http")) && !bytes.EqualFold(scheme, []byte("https")) {
		return nil, badPath("it does not begin with /")
	}
	end := bytes.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	if !bytes.EqualFold(rest[:end], host) {
		return nil, problem.New("HR4002", "the target names the host %.200q, and Host is %.200q", rest[:end], host)
	}
	if end == len(rest) || rest[end] != '/' {
		if end < len(rest) && rest[end] == '?' {
			return append([]byte("/"), rest[end:]...), nil
		}
		return []byte("/"), nil
	}
	return rest[end:], nil
}

// hidden refuses dots that only some readers would see.
func hidden(path []byte) error {
	once, ok := decode(path)
	if !ok {
		return badPath("an escape is broken")
	}
	if bytes.IndexByte(once, 0) >= 0 {
		return badPath("it holds NUL")
	}
	plain := count(path, false)
	if count(once, true) != plain {
		return badPath("it hides a segment . or ..")
	}
	if bytes.IndexByte(once, '%') >= 0 {
		if twice, ok := decode(once); ok && count(twice, true) != plain {
			return badPath("it hides a segment . or ..")
		}
	}
	return nil
}

// decode resolves escapes; it is false if one is broken.
func decode(path []byte) ([]byte, bool) {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if i+2 >= len(path) {
				return nil, false
			}
			high, low := digit(path[i+1]), digit(path[i+2])
			if high|low > 15 {
				return nil, false
			}
			c = high<<4 | low
			i += 2
		}
		b = append(b, c)
	}
	return b, true
}

func digit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c|0x20 >= 'a' && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10
	}
	return 255
}

// count is the number of segments . and .. . A loose reader takes backslashes for slashes and drops what follows a semicolon.
func count(path []byte, loose bool) (n int) {
	start := 0
	for i := 0; i <= len(path); i++ {
		if i < len(path) && path[i] != '/' && (!loose || path[i] != '\\') {
			continue
		}
		segment := path[start:i]
		if loose {
			segment, _, _ = bytes.Cut(segment, []byte(";"))
		}
		if isDots(segment) {
			n++
		}
		start = i + 1
	}
	return n
}

func isDots(segment []byte) bool { return string(segment) == "." || string(segment) == ".." }

func dots(path []byte) bool { return count(path, false) > 0 }

// resolve removes the segments . and .., and empty ones before it does, as it is done for matching.
func resolve(b, path []byte) []byte {
	for rest := path[1:]; ; {
		segment, after, more := bytes.Cut(rest, []byte("/"))
		last := !more
		switch string(segment) {
		case "":
			if last {
				return append(b, '/')
			}
		case ".":
		case "..":
			b = b[:max(bytes.LastIndexByte(b, '/'), 0)]
		default:
			b = append(append(b, '/'), segment...)
			if last {
				return b
			}
			rest = after
			continue
		}
		if last {
			return append(b, '/')
		}
		rest = after
	}
}

// hostBytes are those of names, addresses and ports.
var hostBytes = func() (table [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:[]%") {
		table[c] = true
	}
	return table
}()

func checkHost(host []byte) error {
	for _, c := range host {
		if !hostBytes[c] {
			return problem.New("HR4002", "Host %.200q is not valid", host)
		}
	}
	if len(host) == 0 {
		return problem.New("HR4002", "Host is missing")
	}
	return nil
}
