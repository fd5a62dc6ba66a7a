package park

import (
	"io"
	"runtime/debug"
	"syscall"
)

// queue, called with c.mu held, has a pooled goroutine do a task; flag marks that it is under way.
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

// What follows are tasks; each ends with c.end.

// read does one read, so that a peer that sends without pause shares with the others, and queues the next if there may be more.
func (c *Conn) read(buffer []byte) {
	c.mu.Lock()
	var rest []byte
	if c.more != nil {
		rest = c.more.rest
	}
	state, early, dozed := c.state, c.flags&first != 0, c.flags&dozing != 0
	c.flags &^= readable | first | dozing
	hung := c.flags&hangup != 0
	c.mu.Unlock()

	var n int
	var err error
	if !early && state != dead {
		n, err = sysRead(int(c.fd), buffer)
	}
	if dozed {
		_ = sysLowWater(int(c.fd), 1) // what came since the read becomes an event
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

func (c *Conn) tick(buffer []byte) {
	c.mu.Lock()
	live := c.state == open
	read := live && c.flags&(dozing|reading) == dozing
	if read {
		c.flags |= reading
		c.busy++
	}
	c.mu.Unlock()
	if read {
		c.read(buffer)
	}
	if live {
		c.callTick()
	}
	c.mu.Lock()
	c.flags &^= ticking
	c.end()
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
