package park

// What follows, up to expire, is called with c.mu held.

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
	tell := c.state < draining && c.flags&(abort|left) == 0
	c.state = dead
	c.engine.wheel.clear(c)
	if c.fd < 0 {
		go c.more.stream.conn.Close() // that of TLS waits for the peer to take its last record
	} else if tell { // the peer need not wait for the Handler
		sysShut(int(c.fd), true)
	}
	c.queue(doEnd, 0)
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
