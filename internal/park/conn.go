package park

import (
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// The life of a Conn.
const (
	open     = uint8(iota)
	closing  // what is kept is still to be written
	draining // our half is shut; what the peer still sends is thrown away, so that it gets our last bytes and not a reset
	dead     // the socket is closed as soon as no task uses it
)

// What goes on with a Conn.
const (
	reading  = uint16(1 << iota) // a read task is queued or runs
	readable                     // an event came that no read task has seen
	hangup                       // the peer's end or an error waits behind the bytes
	first                        // bytes from before Park wait
	writing                      // a flush task is queued or runs
	writable                     // the socket takes bytes again and no flush task has seen it
	ticking                      // a tick task is queued or runs
	ended                        // the peer's end was read
	abort                        // close with a reset: the peer does not read
	told                         // Closed was called
	released                     // the socket is closed
	refused                      // Write has said ErrBlocked
	alarm                        // a Handler that may wait for Writable is to be told of the close
	left                         // the socket lives on with somebody else
	dozing                       // a few bytes may arrive without an event
)

// Conn is a parked connection. Its methods may be called from any goroutine and never block.
type Conn struct {
	engine     *Engine
	handler    Handler
	more       *more // what an idle connection lacks
	next, prev *Conn // the wheel's
	mu         sync.Mutex
	fd         int32
	generation uint32
	due        uint32 // the wheel's
	flags      uint16
	busy       uint16 // tasks that are queued or run; the socket stays open under them
	port       uint16
	state      uint8
	known      bool // ip and port hold the remote address
	ip         [16]byte
}

type more struct {
	rest   []byte  // arrived and not taken; belongs to the read task
	out    []byte  // written and refused by the socket
	stream *stream // instead of fd
	err    error   // why it closes
}

// Remote is the peer's address; zero for a Unix socket.
func (c *Conn) Remote() netip.AddrPort {
	if !c.known {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(netip.AddrFrom16(c.ip).Unmap(), c.port)
}

func (c *Conn) setRemote(a net.Addr) {
	if at := address(a); at.IsValid() {
		c.known, c.ip, c.port = true, at.Addr().As16(), at.Port()
	}
}

// Write writes b at once. What the socket refuses is copied and kept, and written when it can be; while bytes are kept, Write takes
// nothing and returns ErrBlocked, and Handler.Writable follows. After Close it returns net.ErrClosed. A socket error closes the Conn.
func (c *Conn) Write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return net.ErrClosed
	}
	if c.more != nil {
		if c.more.stream != nil {
			return c.writeStream(b)
		}
		if len(c.more.out) > 0 {
			c.flags |= refused
			return ErrBlocked
		}
	}
	n, err := sysWrite(int(c.fd), b)
	if n == len(b) {
		return nil
	}
	if err != nil && err != syscall.EAGAIN {
		c.kill(err)
		return err
	}
	c.extra().out = append([]byte(nil), b[n:]...)
	return c.poller().want(c, true)
}

// Wake asks for Handler.Tick after d, rounded up to about 100 ms, or 200 ms from a second on; an earlier time that has not come is replaced. d <= 0 clears it.
func (c *Conn) Wake(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state != open {
		return
	}
	if d <= 0 {
		c.engine.wheel.clear(c)
	} else {
		c.engine.wheel.set(c, d)
	}
}

// Doze lets up to n bytes wait for the next Tick, before which they are read, while more are read as ever. It is for answers that nobody
// waits for: those of many connections cost a fraction when they are read together, without an event for each.
func (c *Conn) Doze(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == open && c.fd >= 0 && c.flags&(reading|dozing) == 0 && sysLowWater(int(c.fd), n+1) == nil {
		c.flags |= dozing
	}
}

// Close closes the connection after the bytes that Write has taken are written, or after a second, whichever is first. Handler.Closed
// follows with err, once Read, Writable and Tick have returned. Only the first call counts.
func (c *Conn) Close(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut(err)
}

// cut closes the connection now.
func (c *Conn) cut(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state < dead {
		c.flags |= abort
		c.kill(err)
	}
}

// extra is called with c.mu held.
func (c *Conn) extra() *more {
	if c.more == nil {
		c.more = &more{}
	}
	return c.more
}

// spare gives the memory back that an idle connection does not need. It is called with c.mu held.
func (c *Conn) spare() {
	if m := c.more; m != nil && c.state == open && m.rest == nil && m.out == nil && m.stream == nil {
		c.more = nil
	}
}
