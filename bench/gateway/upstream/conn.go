package upstream

import (
	"bytes"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// conn is a connection: one request at a time.
type conn struct {
	fd, index  int
	in         []byte // a head that is not whole yet, and what came behind the request that is answered
	out        []byte // of the answer, not written yet
	left       int64  // bytes of filler behind out
	late, gone bool
	sinking    bool  // the body of a POST comes
	due, sunk  int64 // bytes of it to come, and those that came
}

func (c *conn) answering() bool { return len(c.out) > 0 || c.left > 0 || c.late }

func (c *conn) idle() bool { return !c.answering() && !c.sinking && len(c.in) == 0 }

// serve writes and reads what can be.
func (s *server) serve(c *conn) {
	answered := c.answering()
	for {
		if !s.write(c) {
			return
		}
		if c.answering() {
			return // the next event goes on
		}
		if s.draining && answered {
			s.close(c)
			return
		}
		answered = false
		if len(c.in) > 0 && !c.sinking {
			before := len(c.in)
			if c.in = c.in[:copy(c.in, s.take(c, c.in))]; len(c.in) < before {
				answered = c.answering()
				continue
			}
		}
		n, err := unix.Read(c.fd, s.buffer)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return
		case err != nil || n == 0:
			s.close(c)
			return
		}
		got := s.buffer[:n]
		if len(c.in) > 0 {
			c.in = append(c.in, got...)
			continue
		}
		c.in = append(c.in, s.take(c, got)...)
		answered = c.answering()
	}
}

// write is false if the connection is gone.
func (s *server) write(c *conn) bool {
	for len(c.out) > 0 || c.left > 0 {
		part := c.out
		if len(part) == 0 {
			part = s.filler[:min(int64(len(s.filler)), c.left)]
		}
		n, err := unix.Write(c.fd, part)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return true
		case err != nil:
			s.close(c)
			return false
		case len(c.out) > 0:
			c.out = c.out[n:]
		default:
			c.left -= int64(n)
		}
	}
	return true
}

var (
	end    = []byte("\r\n\r\n")
	length = []byte("\r\ncontent-length:")
	prefix = []byte("/guarded")
	parts  = []byte("/bytes/")
	refuse = []byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
)

// take begins the answer of the request that b begins with, and returns what is left of b: all of it if its head is not whole.
func (s *server) take(c *conn, b []byte) []byte {
	if c.sinking {
		return s.sink(c, b)
	}
	size := bytes.Index(b, end)
	if size < 0 {
		return b
	}
	whole, rest := b[:size], b[size+len(end):]
	method, line, _ := bytes.Cut(whole, []byte(" "))
	target, _, _ := bytes.Cut(line, []byte(" "))
	target = bytes.TrimPrefix(target, prefix)
	switch {
	case string(method) == "POST" && string(target) == "/sink":
		lower := bytes.ToLower(whole)
		_, value, _ := bytes.Cut(lower, length)
		value, _, _ = bytes.Cut(value, []byte("\r"))
		c.due, _ = strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
		c.sunk, c.sinking = 0, true
		return s.sink(c, rest)
	case string(target) == "/small":
		c.out = s.small
	case string(target) == "/large":
		c.out = s.large
	case string(target) == "/wait":
		c.late = true
		s.late = append(s.late, late{time.Now().Add(Wait), c})
	case bytes.HasPrefix(target, parts):
		n, err := strconv.ParseInt(string(target[len(parts):]), 10, 64)
		if c.out, c.left = head(n), n; err != nil {
			c.out, c.left = refuse, 0
		}
	default:
		c.out = refuse
	}
	return rest
}

// sink takes the body of a POST.
func (s *server) sink(c *conn, b []byte) []byte {
	n := min(int64(len(b)), c.due)
	c.sunk, c.due = c.sunk+n, c.due-n
	if c.due == 0 {
		c.sinking = false
		c.out = whole(strconv.AppendInt(nil, c.sunk, 10))
	}
	return b[n:]
}
