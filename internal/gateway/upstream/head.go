package upstream

import (
	"bytes"
)

// kind is what the client does with a header line.
type kind uint8

const (
	ordinary kind = iota
	hop           // of the connection only
	connection
	upgrade
	length
	encoding // Transfer-Encoding
	trailer
	contentType
	server
)

// field is a header line; its bytes are those of the buffer.
type field struct {
	name, value []byte
	kind        kind
}

// head is that of an answer.
type head struct {
	status   int
	minor    byte // of the version: 0 or 1
	reason   []byte
	fields   []field
	length   int64 // -1 without Content-Length
	chunked  bool
	close    bool // Connection says close
	keep     bool // Connection says keep-alive
	switches bool // Connection says upgrade
	names    bool // Connection names other fields
	upgrade  bool // there is a field Upgrade
	trailer  bool // there is a field Trailer
}

// The rules that heads break.
const (
	badStart    = malformed("the answer does not begin with a status line of HTTP/1.1")
	badStatus   = malformed("the status line is not one of HTTP/1.1")
	badName     = malformed("a header line has no valid name before its colon")
	badValue    = malformed("a header has a control character in its value")
	badLine     = malformed("a line does not end with CR LF")
	folded      = malformed("a header is folded over two lines")
	tooLong     = malformed("the head is larger than its limit")
	tooMany     = malformed("there are more header lines than the limit")
	badLength   = malformed("Content-Length is not a number")
	twoLengths  = malformed("there are several Content-Length")
	badEncoding = malformed("Transfer-Encoding is not chunked")
	twoFramings = malformed("there are both Content-Length and Transfer-Encoding")
	oldChunked  = malformed("an answer of HTTP/1.0 has Transfer-Encoding")
)

// look tells whether b, the beginning of an answer, holds a whole head, and where it ends; 0 if more bytes are needed. The first seen
// bytes have been looked at before. What no head can begin with is refused before it is whole.
func look(b []byte, seen int) (end int, err error) {
	const version = "HTTP/1."
	if n := min(len(b), len(version)); string(b[:n]) != version[:n] {
		return 0, badStart
	}
	from := max(seen-3, 0)
	if i := bytes.Index(b[from:], []byte("\r\n\r\n")); i >= 0 {
		return from + i + 4, nil
	}
	for i := seen; ; i++ {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0, nil
		}
		i += n
		if i == 0 || b[i-1] != '\r' {
			return 0, badLine
		}
	}
}

// parse reads a head; b ends with the first empty line.
func (h *head) parse(b []byte, lines int) error {
	*h = head{fields: h.fields[:0], length: -1}
	if len(b) < len("HTTP/1.1 200\r\n\r\n") {
		return badStatus
	}
	if string(b[:7]) != "HTTP/1." || b[7] != '0' && b[7] != '1' || b[8] != ' ' || !digit(b[9]) || !digit(b[10]) || !digit(b[11]) {
		return badStatus
	}
	h.minor = b[7] - '0'
	h.status = int(b[9]-'0')*100 + int(b[10]-'0')*10 + int(b[11]-'0')
	if h.status < 100 || h.status > 599 {
		return badStatus
	}
	end := 12 + valueLength(b[12:])
	switch {
	case b[end] == '\n' || b[end] == '\r' && b[end+1] != '\n':
		return badLine
	case b[end] != '\r':
		return badStatus
	case end > 12 && b[12] != ' ':
		return badStatus
	case end > 13:
		h.reason = b[13:end]
	}
	var err error
	if h.fields, err = parseFields(h.fields, b[end+2:], lines); err != nil {
		return err
	}
	return h.frame()
}

// parseFields appends the header lines of b, which ends with an empty line.
func parseFields(fields []field, b []byte, lines int) ([]field, error) {
	for b[0] != '\r' {
		if len(fields) == lines {
			return fields, tooMany
		}
		n := 0
		for token[b[n]] {
			n++
		}
		switch {
		case n == 0 && (b[0] == ' ' || b[0] == '\t'):
			return fields, folded
		case n == 0 || b[n] != ':':
			return fields, badName
		}
		end := n + 1 + valueLength(b[n+1:])
		switch {
		case b[end] == '\n' || b[end] == '\r' && b[end+1] != '\n':
			return fields, badLine
		case b[end] != '\r':
			return fields, badValue
		}
		fields = append(fields, field{name: b[:n], value: trim(b[n+1 : end]), kind: kindOf(b[:n])})
		b = b[end+2:]
	}
	if b[1] != '\n' {
		return fields, badLine
	}
	return fields, nil
}

// frame takes what the fields say about the connection and the length of the body.
func (h *head) frame() error {
	for i := range h.fields {
		f := &h.fields[i]
		switch f.kind {
		case length:
			if h.length >= 0 {
				return twoLengths
			}
			n, ok := number(f.value)
			if !ok {
				return badLength
			}
			h.length = n
		case encoding:
			if h.chunked || !is(f.value, "chunked") {
				return badEncoding
			}
			h.chunked = true
		case connection:
			h.connection(f.value)
		case upgrade:
			h.upgrade = true
		case trailer:
			h.trailer = true
		}
	}
	switch {
	case h.chunked && h.length >= 0:
		return twoFramings
	case h.chunked && h.minor == 0:
		return oldChunked
	}
	return nil
}

// connection takes the names in a field Connection.
func (h *head) connection(list []byte) {
	for len(list) > 0 {
		var name []byte
		name, list, _ = bytes.Cut(list, []byte(","))
		switch name = trim(name); {
		case len(name) == 0:
		case is(name, "close"):
			h.close = true
		case is(name, "keep-alive"):
			h.keep = true
		case is(name, "upgrade"):
			h.switches = true
		default:
			h.names = true
		}
	}
}

// named tells whether a field Connection names the field.
func (h *head) named(name []byte) bool {
	for i := range h.fields {
		if h.fields[i].kind != connection {
			continue
		}
		for list := h.fields[i].value; len(list) > 0; {
			var n []byte
			n, list, _ = bytes.Cut(list, []byte(","))
			if bytes.EqualFold(trim(n), name) {
				return true
			}
		}
	}
	return false
}

// persists tells whether the target keeps the connection.
func (h *head) persists() bool { return !h.close && (h.minor == 1 || h.keep) }

func kindOf(name []byte) kind {
	switch len(name) {
	case 2:
		if is(name, "te") {
			return hop
		}
	case 6:
		if is(name, "server") {
			return server
		}
	case 7:
		if is(name, "upgrade") {
			return upgrade
		}
		if is(name, "trailer") {
			return trailer
		}
	case 10:
		if is(name, "connection") {
			return connection
		}
		if is(name, "keep-alive") {
			return hop
		}
	case 12:
		if is(name, "content-type") {
			return contentType
		}
	case 14:
		if is(name, "content-length") {
			return length
		}
	case 17:
		if is(name, "transfer-encoding") {
			return encoding
		}
	}
	if len(name) > 6 && name[0]|0x20 == 'p' && is(name[:6], "proxy-") && !is(name, "proxy-status") {
		return hop
	}
	return ordinary
}

// is compares name with an lower-case word of letters and hyphens.
func is(name []byte, word string) bool {
	if len(name) != len(word) {
		return false
	}
	for i, c := range name {
		if c|0x20 != word[i] || c < ' ' {
			return false
		}
	}
	return true
}

// number is that of Content-Length: digits only, at most 18.
func number(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 18 {
		return 0, false
	}
	n := int64(0)
	for _, c := range b {
		if !digit(c) {
			return 0, false
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}

func digit(c byte) bool { return c-'0' < 10 }

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

// valueLength is how many bytes of b may stand in a value. Somewhere behind them is a CR.
func valueLength(b []byte) int {
	n := 0
	for visible[b[n]] {
		n++
	}
	return n
}

// token has the characters of names, visible those of values.
var token, visible = func() (t, v [256]bool) {
	for c := range 256 {
		v[c] = c >= ' ' && c != 0x7f || c == '\t'
		t[c] = c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' && c < 0x80
	}
	for _, c := range "!#$%&'*+-.^_`|~" {
		t[c] = true
	}
	return t, v
}()
