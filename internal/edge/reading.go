package edge

import (
	"bytes"
	"unicode/utf8"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// sameRoute refuses a path that a service could read as one of another route than that which answers, so that nobody comes around the policies of
// a route: HR4001. Routes are matched with the path decoded and cleaned. Some services do not take %2F for a slash; others decode twice, take \ for /,
// leave out what follows ; in a segment, end at an encoded ? or NUL, or ignore dots and spaces at the end of names. Overlong UTF-8 is refused.
func (s *Server) sameRoute(t *table, r *exchange.Request, found *route) error {
	path := r.Request.Header.RequestURI()
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		path = path[:i]
	}
	if !odd(path) {
		return nil
	}
	reading := strictly(path)
	if overlong(reading) || overlong(decode(bytes.Clone(reading))) {
		return problem.New("HR4001", "the path holds UTF-8 that is longer than it must be")
	}
	for way := range looseWays + 1 {
		if way > 0 {
			reading = loosely(path, way-1)
		}
		if bytes.Equal(reading, r.Path()) {
			continue
		}
		var params [8][]byte
		if other, _, err := t.routes.Find(&r.Request, r.Method(), reading, &params); err == nil && other != found {
			return problem.New("HR4001", "the path can be read in two ways, which lead to different routes")
		}
	}
	return nil
}

// odd tells whether a path has anything that services read in different ways.
func odd(path []byte) bool {
	for i, c := range path {
		switch c {
		case '%', '\\', ';', ' ':
			return true
		case '.':
			if i+1 == len(path) || path[i+1] == '/' {
				return true
			}
		}
	}
	return false
}

// strictly is a path decoded but for its slashes, and cleaned.
func strictly(path []byte) []byte {
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c, escaped := path[i], false
		if i+2 < len(path) {
			if c, escaped = escape(path[i:]); escaped && c != '/' {
				i += 2
			} else {
				c = path[i]
			}
		}
		b = append(b, c)
	}
	return clean(b)
}

// The ways of reading loosely; what one service takes for the end of the path, or for a slash, may hide from it what another sees.
const (
	twice = 1 << iota // escapes are decoded twice
	whole             // ?, # and NUL that were escaped do not end the path
	slant             // a backslash is no slash
	early             // parameters are left out before escapes are decoded

	looseWays = 1 << iota
)

// loosely is a path as a tolerant service reads it.
func loosely(path []byte, way int) []byte {
	b := bytes.Clone(path)
	if way&early != 0 {
		b = withoutParameters(b)
	}
	b = decode(b)
	if way&twice != 0 {
		b = decode(b)
	}
	if i := bytes.IndexAny(b, "?#\x00"); i >= 0 && way&whole == 0 {
		b = b[:i]
	}
	out := make([]byte, 0, len(b))
	isSlash := func(c rune) bool { return c == '/' || c == '\\' && way&slant == 0 }
	for segment := range bytes.FieldsFuncSeq(b, isSlash) {
		segment, _, _ = bytes.Cut(segment, []byte(";"))
		if trimmed := bytes.TrimRight(segment, ". "); len(trimmed) > 0 {
			segment = trimmed
		}
		out = append(append(out, '/'), segment...)
	}
	if n := len(b); n > 0 && isSlash(rune(b[n-1])) {
		out = append(out, '/')
	}
	return clean(out)
}

// withoutParameters leaves out what follows ; in the segments of a path, in its own memory.
func withoutParameters(path []byte) []byte {
	b, skip := path[:0], false
	for _, c := range path {
		if skip = c == ';' || skip && c != '/'; !skip {
			b = append(b, c)
		}
	}
	return b
}

// decode resolves the escapes of a path in its own memory.
func decode(path []byte) []byte {
	b := path[:0]
	for i := 0; i < len(path); i++ {
		c, ok := escape(path[i:])
		if ok {
			i += 2
		}
		b = append(b, c)
	}
	return b
}

// escape is the byte that an escape at the beginning of b stands for, or the first byte.
func escape(b []byte) (c byte, ok bool) {
	if len(b) < 3 || b[0] != '%' {
		return b[0], false
	}
	high, ok := hex(b[1])
	low, also := hex(b[2])
	if !ok || !also {
		return b[0], false
	}
	return high<<4 | low, true
}

func hex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}

// overlong tells whether bytes hold ASCII in a form of UTF-8 that is longer than it must be; nobody but who hides something writes it.
func overlong(b []byte) bool {
	for i := 0; i+1 < len(b); i++ {
		c, next := b[i], b[i+1]
		if c == 0xc0 || c == 0xc1 {
			if !utf8.RuneStart(next) {
				return true
			}
		} else if c == 0xe0 && next&0xe0 == 0x80 {
			return true
		}
	}
	return false
}

// clean removes empty segments and resolves . and .. .
func clean(path []byte) []byte {
	b := make([]byte, 0, len(path)+1)
	slash := true
	for segment := range bytes.SplitSeq(path, []byte("/")) {
		switch string(segment) {
		case "", ".":
			slash = true
		case "..":
			b, slash = b[:max(bytes.LastIndexByte(b, '/'), 0)], true
		default:
			b, slash = append(append(b, '/'), segment...), false
		}
	}
	if slash {
		b = append(b, '/')
	}
	return b
}
