package park

import (
	"errors"
	"net"
)

// ErrLeft is the reason that Closed gets for a connection that Leave gave back.
var ErrLeft = errors.New("park: the connection was given back")

// Leave gives the connection back as an ordinary one, at which nothing was closed. What the Handler has read stays read. A connection that
// has bytes to write or is closed cannot leave: net.ErrClosed. Closed follows, with ErrLeft.
func (c *Conn) Leave() (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open || c.fd < 0 || c.unwritten() {
		return nil, net.ErrClosed
	}
	if c.flags&dozing != 0 {
		_ = sysLowWater(int(c.fd), 1)
	}
	conn, err := c.poller().release(int(c.fd))
	if err != nil {
		return nil, err
	}
	c.flags |= left
	c.kill(ErrLeft)
	return conn, nil
}
