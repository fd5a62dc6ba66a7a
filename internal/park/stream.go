package park

import (
	"errors"
	"io"
	"net"
)

// streamWindow is how many bytes wait for a stream's writer before Write returns ErrBlocked.
const streamWindow = 64 << 10

// errNoSocket says that a net.Conn has no socket that epoll could watch.
var errNoSocket = errors.New("no plain socket")

// stream is the way of connections that epoll cannot watch: a goroutine reads, and one writes while there are bytes to write.
type stream struct {
	conn    net.Conn
	out     []byte
	pending int // bytes of out and of the write under way
}

func (e *Engine) parkStream(c *Conn, conn net.Conn) (*Conn, error) {
	c.extra().stream = &stream{conn: conn}
	if err := e.add(c); err != nil {
		return nil, err
	}
	c.busy = 1
	c.flags |= reading
	go c.pump()
	return c, nil
}

func (c *Conn) pump() {
	conn := c.more.stream.conn
	buffer := make([]byte, 4<<10)
	if rest := c.more.rest; len(rest) > 0 {
		rest = c.deliver(rest, nil)
		c.mu.Lock()
		c.keep(rest)
		c.mu.Unlock()
	}
	for {
		n, err := conn.Read(buffer)
		c.mu.Lock()
		if n > 0 && c.state == open {
			rest := c.more.rest
			c.mu.Unlock()
			rest = c.deliver(rest, buffer[:n])
			c.mu.Lock()
			c.keep(rest)
		}
		if err == io.EOF {
			c.flags |= ended
			c.shut(err)
		} else if err != nil {
			c.kill(err)
		}
		if err != nil || c.state == dead {
			c.flags &^= reading
			c.end()
			return
		}
		c.mu.Unlock()
	}
}

// writeStream is Write with c.mu held.
func (c *Conn) writeStream(b []byte) error {
	s := c.more.stream
	if s.pending > 0 && s.pending+len(b) > streamWindow {
		c.flags |= refused
		return ErrBlocked
	}
	s.out = append(s.out, b...)
	s.pending += len(b)
	if c.flags&writing == 0 {
		c.flags |= writing
		c.busy++
		go c.push()
	}
	return nil
}

// push writes what waits, and ends.
func (c *Conn) push() {
	c.mu.Lock()
	s := c.more.stream
	for s.pending > 0 && c.state < dead {
		b := s.out
		s.out = nil
		c.mu.Unlock()
		_, err := s.conn.Write(b)
		c.mu.Lock()
		s.pending -= len(b)
		if err != nil {
			c.kill(err)
		}
		if s.pending > 0 || c.state != open || c.flags&refused == 0 {
			continue
		}
		c.flags &^= refused
		c.mu.Unlock()
		c.callWritable()
		c.mu.Lock()
	}
	if c.state == closing {
		c.written()
	}
	c.flags &^= writing
	c.end()
}
