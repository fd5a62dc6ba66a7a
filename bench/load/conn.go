// Package load makes HTTP/1.1 load over keep-alive connections with little CPU of its own: one thread waits for all connections, requests
// are bytes made by the caller, answers are parsed as far as needed to find their end. Latencies are kept in a histogram.
package load

import (
	"errors"
	"io"
	"net"
	"time"
)

// Conn is one keep-alive connection for requests one after another; use it from one goroutine at a time.
type Conn struct {
	socket net.Conn
	in     []byte // read and not yet used
	body   []byte
}

// Dial connects to addr (host:port).
func Dial(addr string) (*Conn, error) {
	socket, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &Conn{socket: socket}, nil
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
	for {
		var used int
		status, c.body, used, err = answer(c.in, c.body[:0])
		if !errors.Is(err, errShort) {
			c.in = append(c.in[:0], c.in[used:]...)
			return status, c.body, err
		}
		part := make([]byte, maxLine)
		n, err := c.socket.Read(part)
		c.in = append(c.in, part[:n]...)
		if n == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return 0, nil, err
		}
	}
}
