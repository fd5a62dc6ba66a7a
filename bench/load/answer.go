package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// ErrMalformed is an answer that is not HTTP/1.1.
var ErrMalformed = errors.New("load: malformed answer")

// errShort is an answer of which a part has yet to come.
var errShort = errors.New("load: answer is not whole yet")

// Limits of an answer, in bytes.
const (
	maxLine = 16 << 10
	maxBody = 64 << 20
)

// answer finds the first answer in b, which ends by content length or chunks; one that ends with its connection is refused. The body is
// part of b, or of scratch if it came in chunks. used counts the bytes of the answer.
func answer(b, scratch []byte) (status int, body []byte, used int, err error) {
	rest := b
	for {
		var line []byte
		if line, rest, err = cutLine(rest); err != nil {
			return 0, scratch, 0, err
		}
		if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
			return 0, scratch, 0, fmt.Errorf("%w: status line %q", ErrMalformed, line)
		}
		status, err = strconv.Atoi(string(line[9:12]))
		if err != nil || status < 100 {
			return 0, scratch, 0, fmt.Errorf("%w: status line %q", ErrMalformed, line)
		}
		length, chunked := -1, false
		if length, chunked, rest, err = header(rest); err != nil {
			return 0, scratch, 0, err
		}
		body = scratch
		switch {
		case status < 200: // 100 Continue: the answer follows
			continue
		case status == 204 || status == 304:
		case chunked:
			body, rest, err = chunks(rest, scratch)
		case length < 0:
			err = fmt.Errorf("%w: neither length nor chunks", ErrMalformed)
		case length > maxBody:
			err = fmt.Errorf("%w: body over %d bytes", ErrMalformed, maxBody)
		case length > len(rest):
			err = errShort
		default:
			body, rest = rest[:length], rest[length:]
		}
		if err != nil {
			return 0, scratch, 0, err
		}
		return status, body, len(b) - len(rest), nil
	}
}

func header(b []byte) (length int, chunked bool, rest []byte, err error) {
	length, rest = -1, b
	for {
		var line []byte
		if line, rest, err = cutLine(rest); err != nil || len(line) == 0 {
			return length, chunked, rest, err
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return 0, false, nil, fmt.Errorf("%w: header %q", ErrMalformed, line)
		}
		switch len(name) { // most headers are told apart by their length alone
		case len("Content-Length"):
			if bytes.EqualFold(name, []byte("Content-Length")) {
				if length, err = strconv.Atoi(string(bytes.TrimSpace(value))); err != nil || length < 0 {
					return 0, false, nil, fmt.Errorf("%w: header %q", ErrMalformed, line)
				}
			}
		case len("Transfer-Encoding"):
			if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
				chunked = bytes.EqualFold(bytes.TrimSpace(value), []byte("chunked"))
			}
		}
	}
}

func chunks(b, body []byte) (_, rest []byte, err error) {
	rest = b
	for {
		var line []byte
		if line, rest, err = cutLine(rest); err != nil {
			return body, nil, err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseUint(string(digits), 16, 31)
		switch {
		case err != nil:
			return body, nil, fmt.Errorf("%w: chunk size %q", ErrMalformed, line)
		case int(size) > maxBody-len(body):
			return body, nil, fmt.Errorf("%w: body over %d bytes", ErrMalformed, maxBody)
		case size == 0:
			for { // trailers
				if line, rest, err = cutLine(rest); err != nil || len(line) == 0 {
					return body, rest, err
				}
			}
		case len(rest) < int(size)+2:
			return body, nil, errShort
		case rest[size] != '\r' || rest[size+1] != '\n':
			return body, nil, fmt.Errorf("%w: chunk without end", ErrMalformed)
		}
		body, rest = append(body, rest[:size]...), rest[size+2:]
	}
}

// cutLine is the first line without its end, and what follows it.
func cutLine(b []byte) (line, rest []byte, err error) {
	end := bytes.IndexByte(b, '\n')
	if end < 0 && len(b) < maxLine {
		return nil, nil, errShort
	}
	if end < 0 || end >= maxLine {
		return nil, nil, fmt.Errorf("%w: line over %d bytes", ErrMalformed, maxLine)
	}
	return bytes.TrimSuffix(b[:end], []byte("\r")), b[end+1:], nil
}
