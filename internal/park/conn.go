package park

import (
	"io"
	"net"
	"net/netip"
	"runtime/debug"
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

// Wake asks for Handler.Tick after d, rounded up to about 100 ms; an earlier time that has not come is replaced. d <= 0 clears it.
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

// What follows is called with c.mu held.

func (c *Conn) extra() *more {
	if c.more == nil {
		c.more = &more{}
	}
	return c.more
}

// shut begins the close.
func (c *Conn) shut(err error) {
	if c.state != open {
		return
	}
	c.state = closing
	c.extra().err = err
	c.warn()
	if c.unwritten() {
		c.engine.wheel.set(c, grace)
		return
	}
	c.written()
}

// warn calls Writable once more when Write has refused bytes: the Handler may wait for it.
func (c *Conn) warn() {
	if c.flags&refused == 0 {
		return
	}
	c.flags = c.flags&^refused | alarm
	if c.flags&writing == 0 || c.fd < 0 {
		c.queue(doFlush, writing)
	}
}

func (c *Conn) unwritten() bool {
	return c.more != nil && (len(c.more.out) > 0 || c.more.stream != nil && c.more.stream.pending > 0)
}

// written goes on with the close when nothing is kept any more.
func (c *Conn) written() {
	if c.flags&ended != 0 || c.fd < 0 {
		c.kill(nil)
		return
	}
	c.state = draining
	sysShut(int(c.fd), false)
	c.engine.wheel.set(c, grace)
	c.queue(doEnd, 0)
}

// kill ends the connection without waiting for anybody. A nil err keeps the reason that Close has set.
func (c *Conn) kill(err error) {
	if c.state == dead {
		return
	}
	if c.state == open {
		c.extra().err = err
		c.warn()
	}
	tell := c.state < draining && c.flags&abort == 0
	c.state = dead
	c.engine.wheel.clear(c)
	if c.fd < 0 {
		go c.more.stream.conn.Close() // that of TLS waits for the peer to take its last record
	} else if tell { // the peer need not wait for the Handler
		sysShut(int(c.fd), true)
	}
	c.queue(doEnd, 0)
}

// queue has a pooled goroutine do a task; flag marks that it is under way.
func (c *Conn) queue(do action, flag uint16) {
	c.flags |= flag
	c.busy++
	c.engine.crew.add(task{c, do})
}

// ready notes what epoll says and appends the tasks that follow.
func (c *Conn) ready(in, out, hung bool, tasks []task) []task {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == dead {
		return tasks
	}
	if in || hung {
		c.flags |= readable
		if hung {
			c.flags |= hangup
		}
		if c.flags&reading == 0 {
			c.flags |= reading
			c.busy++
			tasks = append(tasks, task{c, doRead})
		}
	}
	if (out || hung) && c.more != nil && len(c.more.out) > 0 {
		c.flags |= writable
		if c.flags&writing == 0 {
			c.flags |= writing
			c.busy++
			tasks = append(tasks, task{c, doFlush})
		}
	}
	return tasks
}

// expire is the wheel's call, without c.mu.
func (c *Conn) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.engine.wheel.claim(c) {
		return
	}
	switch {
	case c.state == closing:
		c.flags |= abort
		c.kill(nil)
	case c.state == draining:
		c.kill(nil)
	case c.state == open && c.flags&ticking != 0: // the Tick before this one still runs
		c.engine.wheel.set(c, resolution)
	case c.state == open:
		c.queue(doTick, ticking)
	}
}

// What follows are tasks; each ends with c.end.

// read does one read, so that a peer that sends without pause shares with the others, and queues the next if there may be more.
func (c *Conn) read(buffer []byte) {
	c.mu.Lock()
	var rest []byte
	if c.more != nil {
		rest = c.more.rest
	}
	state, early := c.state, c.flags&first != 0
	c.flags &^= readable | first
	hung := c.flags&hangup != 0
	c.mu.Unlock()

	var n int
	var err error
	if !early && state != dead {
		n, err = sysRead(int(c.fd), buffer)
	}
	if state == open && (n > 0 || early) {
		rest = c.deliver(rest, buffer[:n])
	}

	c.mu.Lock()
	c.keep(rest)
	switch {
	case early || err == syscall.EAGAIN || state == dead:
	case err != nil:
		c.kill(err)
	case n == 0:
		c.flags |= ended
		if c.state == draining {
			c.kill(nil)
		}
		c.shut(io.EOF)
	}
	if c.state != dead && c.flags&ended == 0 && (n == len(buffer) || n > 0 && hung || early || c.flags&readable != 0) {
		c.engine.crew.add(task{c, doRead})
		c.mu.Unlock()
		return
	}
	c.flags &^= reading
	c.end()
}

// deliver gives the Handler what is left from before and what arrived, and returns what it did not take.
func (c *Conn) deliver(rest, b []byte) []byte {
	if len(rest) > 0 {
		rest = append(rest, b...)
		b = rest
	}
	taken := c.callRead(b)
	switch left := b[taken:]; {
	case len(left) == 0:
		return nil
	case len(left) > c.engine.partial:
		c.Close(ErrPartial)
		return nil
	case taken == 0 && len(rest) > 0:
		return rest // grown by append: a peer that sends byte by byte does not make us copy all of it each time
	default:
		return append(make([]byte, 0, len(left)), left...)
	}
}

// keep is called with c.mu held.
func (c *Conn) keep(rest []byte) {
	if c.state != open {
		rest = nil
	}
	if len(rest) > 0 {
		c.extra().rest = rest
	} else if c.more != nil {
		c.more.rest = nil
		c.spare()
	}
}

// spare gives the memory back that an idle connection does not need. It is called with c.mu held.
func (c *Conn) spare() {
	if m := c.more; m != nil && c.state == open && m.rest == nil && m.out == nil && m.stream == nil {
		c.more = nil
	}
}

// flush writes what is kept.
func (c *Conn) flush() {
	c.mu.Lock()
	for c.flags&(writable|alarm) != 0 {
		tell, again := c.flags&alarm != 0, c.flags&writable != 0
		c.flags &^= writable | alarm
		if again && c.state < draining && c.fd >= 0 && c.unwritten() && c.drain() {
			tell = true
		}
		if !tell {
			continue
		}
		c.mu.Unlock()
		c.callWritable()
		c.mu.Lock()
	}
	c.flags &^= writing
	c.end()
}

// drain tells whether an open connection is writable again. It is called with c.mu held.
func (c *Conn) drain() bool {
	n, err := sysWrite(int(c.fd), c.more.out)
	if err != nil && err != syscall.EAGAIN {
		c.kill(err)
		return false
	}
	if c.more.out = c.more.out[n:]; len(c.more.out) > 0 {
		return false
	}
	c.more.out = nil
	if c.state == closing {
		c.written()
		return false
	}
	if c.poller().want(c, false) != nil {
		return false
	}
	c.flags &^= refused
	if c.flags&reading == 0 {
		c.spare()
	}
	return true
}

func (c *Conn) tick() {
	c.mu.Lock()
	live := c.state == open
	c.mu.Unlock()
	if live {
		c.callTick()
	}
	c.mu.Lock()
	c.flags &^= ticking
	c.end()
}

// end is the end of a task. It takes c.mu held and releases it. The last task of a closed connection tells the Handler and then
// closes the socket, so neither happens under a call that still runs.
func (c *Conn) end() {
	defer c.mu.Unlock()
	c.busy--
	if c.busy > 0 || c.state < draining {
		return
	}
	if c.flags&told == 0 {
		c.flags |= told
		err := c.more.err
		c.busy++
		c.mu.Unlock()
		c.callClosed(err)
		c.mu.Lock()
		c.busy--
	}
	if c.busy > 0 || c.state < dead || c.flags&released != 0 {
		return
	}
	c.flags |= released
	c.more.out, c.more.rest = nil, nil
	c.engine.forget(c) // before the descriptor can be given to another
	if c.fd < 0 {
		return
	}
	if c.flags&abort != 0 {
		sysReset(int(c.fd))
	}
	sysClose(int(c.fd))
}

func (c *Conn) callRead(b []byte) int {
	defer c.rescue()
	return c.handler.Read(c, b)
}

func (c *Conn) callWritable() {
	defer c.rescue()
	c.handler.Writable(c)
}

func (c *Conn) callTick() {
	defer c.rescue()
	c.handler.Tick(c)
}

func (c *Conn) callClosed(err error) {
	defer c.rescue()
	c.handler.Closed(c, err)
}

// rescue keeps the panic of one connection from the others.
func (c *Conn) rescue() {
	if r := recover(); r != nil {
		c.engine.log.Error("a connection's handler panicked", "remote", c.Remote(), "panic", r, "stack", string(debug.Stack()))
		c.Close(ErrPanic)
	}
}
