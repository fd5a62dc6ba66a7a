// Package load makes HTTP/1.1 load over keep-alive connections with little CPU of its own: requests are bytes made by the caller,
// answers are parsed as far as needed to find their end. Latencies are kept in a histogram.
package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// ErrMalformed is an answer that is not HTTP/1.1.
var ErrMalformed = errors.New("load: malformed answer")

// Limits of an answer, in bytes.
const (
	maxLine = 16 << 10
	maxBody = 64 << 20
)

// Conn is one keep-alive connection; use it from one goroutine at a time.
type Conn struct {
	socket net.Conn
	in     *bufio.Reader
	body   []byte
}

// Dial connects to addr (host:port).
func Dial(addr string) (*Conn, error) {
	socket, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{socket: socket, in: bufio.NewReaderSize(socket, maxLine)}, nil
}

// Close ends the connection.
func (c *Conn) Close() error { return c.socket.Close() }

// Deadline bounds all further reads and writes.
func (c *Conn) Deadline(t time.Time) error { return c.socket.SetDeadline(t) }

// Do sends a whole request and reads its answer. The body is valid until the next call. After an error the connection is of no more use.
func (c *Conn) Do(request []byte) (status int, body []byte, err error) {
	if _, err = c.socket.Write(request); err != nil {
		return 0, nil, err
	}
	return c.Answer()
}

// Write sends a part of a request; read the answer with Answer after the last.
func (c *Conn) Write(part []byte) (int, error) { return c.socket.Write(part) }

// Answer reads one answer. The body is valid until the next call.
func (c *Conn) Answer() (status int, body []byte, err error) {
	status, c.body, err = answer(c.in, c.body[:0])
	return status, c.body, err
}

// answer reads an answer that ends by content length or chunks; one that ends with its connection is refused.
func answer(in *bufio.Reader, body []byte) (int, []byte, error) {
	for {
		line, err := readLine(in)
		if err != nil {
			return 0, body, err
		}
		if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.1 ")) {
			return 0, body, fmt.Errorf("%w: status line %q", ErrMalformed, line)
		}
		status, err := strconv.Atoi(string(line[9:12]))
		if err != nil || status < 100 {
			return 0, body, fmt.Errorf("%w: status line %q", ErrMalformed, line)
		}
		length, chunked, err := readHeader(in)
		switch {
		case err != nil:
			return 0, body, err
		case status < 200: // 100 Continue: the answer follows
			continue
		case status == 204 || status == 304:
			return status, body, nil
		case chunked:
			body, err = readChunks(in, body)
		case length < 0:
			err = fmt.Errorf("%w: neither length nor chunks", ErrMalformed)
		default:
			body, err = readN(in, body, length)
		}
		return status, body, err
	}
}

func readHeader(in *bufio.Reader) (length int, chunked bool, err error) {
	for length = -1; ; {
		line, err := readLine(in)
		if err != nil {
			return 0, false, err
		}
		if len(line) == 0 {
			return length, chunked, nil
		}
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return 0, false, fmt.Errorf("%w: header %q", ErrMalformed, line)
		}
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil || length < 0 {
				return 0, false, fmt.Errorf("%w: header %q", ErrMalformed, line)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			chunked = bytes.EqualFold(value, []byte("chunked"))
		}
	}
}

func readChunks(in *bufio.Reader, body []byte) ([]byte, error) {
	for {
		line, err := readLine(in)
		if err != nil {
			return body, err
		}
		digits, _, _ := bytes.Cut(line, []byte(";"))
		size, err := strconv.ParseUint(string(digits), 16, 31)
		if err != nil {
			return body, fmt.Errorf("%w: chunk size %q", ErrMalformed, line)
		}
		if size == 0 {
			break
		}
		if body, err = readN(in, body, int(size)); err != nil {
			return body, err
		}
		if line, err = readLine(in); err != nil || len(line) != 0 {
			return body, fmt.Errorf("%w: chunk without end", ErrMalformed)
		}
	}
	for { // trailers
		if line, err := readLine(in); err != nil || len(line) == 0 {
			return body, err
		}
	}
}

func readN(in *bufio.Reader, body []byte, n int) ([]byte, error) {
	if n > maxBody-len(body) {
		return body, fmt.Errorf("%w: body over %d bytes", ErrMalformed, maxBody)
	}
	for n > 0 { // piece by piece, so that a length that is a lie costs no memory
		piece := min(n, maxLine)
		start := len(body)
		body = append(body, make([]byte, piece)...)
		if _, err := io.ReadFull(in, body[start:]); err != nil {
			return body[:start], err
		}
		n -= piece
	}
	return body, nil
}

func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, fmt.Errorf("%w: line over %d bytes", ErrMalformed, maxLine)
	}
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(line[:len(line)-1], []byte("\r")), nil
}
