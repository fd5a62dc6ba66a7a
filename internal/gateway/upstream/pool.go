package upstream

import (
	"errors"
	"time"
)

// waiter is a call that waits for a connection. It gets one that was kept, or nil: leave to dial.
type waiter struct{ turn chan *conn }

// acquire gives a connection to a call: the one that was kept last, or a new one.
func (c *Client) acquire(now, end int64) (*conn, *Error) {
	c.mu.Lock()
	if k := c.fresh(now); k != nil {
		c.mu.Unlock()
		return k, nil
	}
	if n := len(c.idle); n > 0 { // the sweeper has not come yet
		k := c.last(n)
		c.mu.Unlock()
		return c.replace(k, true, end)
	}
	if most := c.options.MaxConns; most > 0 && c.stats.Open >= most {
		return c.wait(now, end)
	}
	c.stats.Open++
	c.stats.Dials++
	c.mu.Unlock()
	return c.dial(now, end)
}

// spare gives a connection that is idle; nil if there is none that serves at once.
func (c *Client) spare(now int64) *conn {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.fresh(now)
}

// fresh takes the connection that was kept last if it is not too old. It is called with c.mu held.
func (c *Client) fresh(now int64) *conn {
	n := len(c.idle)
	if n == 0 || now-c.idle[n-1].since >= int64(c.options.KeepAlive) {
		return nil
	}
	c.stats.Reused++
	k := c.last(n)
	k.since = now
	return k
}

// last takes the connection that was used last out of the n that are idle.
func (c *Client) last(n int) *conn {
	k := c.idle[n-1]
	c.idle[n-1] = nil
	c.idle = c.idle[:n-1]
	return k
}

// replace closes a connection that is no good any more and gives another one for the same call: a new one in its place if fresh, or if
// no other is idle.
func (c *Client) replace(k *conn, fresh bool, end int64) (*conn, *Error) {
	k.release()
	k.socket.Close()
	c.mu.Lock()
	if n := len(c.idle); n > 0 && !fresh {
		other := c.last(n)
		c.stats.Reused++
		c.stats.Open--
		c.admit(1)
		c.mu.Unlock()
		other.since = clock()
		return other, nil
	}
	c.stats.Dials++
	c.mu.Unlock()
	return c.dial(clock(), end)
}

// wait waits for a turn. It is called with c.mu held.
func (c *Client) wait(now, end int64) (*conn, *Error) {
	w := &waiter{turn: make(chan *conn, 1)}
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()
	limit := int64(c.options.ConnectTimeout)
	if end != 0 {
		limit = min(limit, end-now)
	}
	timer := time.NewTimer(time.Duration(limit))
	defer timer.Stop()
	select {
	case k := <-w.turn:
		return c.granted(k, end)
	case <-timer.C:
	}
	c.mu.Lock()
	for i, other := range c.waiting {
		if other == w {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			c.mu.Unlock()
			return nil, &Error{Stage: Busy, Timeout: true, Err: errors.New("all connections to the target are in use")}
		}
	}
	c.mu.Unlock()
	return c.granted(<-w.turn, end) // the turn came together with the timer
}

// granted uses a turn.
func (c *Client) granted(k *conn, end int64) (*conn, *Error) {
	c.mu.Lock()
	if k != nil {
		c.stats.Reused++
		c.mu.Unlock()
		k.since = clock()
		return k, nil
	}
	c.stats.Dials++
	c.mu.Unlock()
	return c.dial(clock(), end)
}

// admit gives leave to dial to the first waiters, in as many places as have become free. It is called with c.mu held.
func (c *Client) admit(free int) {
	for ; free > 0 && len(c.waiting) > 0; free-- {
		c.stats.Open++
		c.next().turn <- nil
	}
}

func (c *Client) next() *waiter {
	w := c.waiting[0]
	c.waiting = append(c.waiting[:0], c.waiting[1:]...)
	return w
}

// keep takes a connection back whose call has ended well.
func (c *Client) keep(k *conn) {
	c.mu.Lock()
	switch {
	case c.closed:
	case len(c.waiting) > 0:
		c.next().turn <- k
		c.mu.Unlock()
		return
	case len(c.idle) < c.options.MaxIdle:
		k.since = clock()
		c.idle = append(c.idle, k)
		if c.sweeper == nil {
			c.sweeper = time.AfterFunc(c.options.KeepAlive, c.sweep)
		}
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.drop(k)
}

// drop closes a connection.
func (c *Client) drop(k *conn) {
	k.socket.Close()
	c.leave()
}

// leave frees the place of a connection that is closed or was never made.
func (c *Client) leave() {
	c.mu.Lock()
	c.stats.Open--
	c.admit(1)
	c.mu.Unlock()
}

// sweep closes the connections that were idle for too long, and comes again when the next one may be due.
func (c *Client) sweep() {
	now, age := clock(), int64(c.options.KeepAlive)
	c.mu.Lock()
	n := 0
	for n < len(c.idle) && now-c.idle[n].since >= age {
		n++
	}
	old := append([]*conn(nil), c.idle[:n]...)
	kept := copy(c.idle, c.idle[n:])
	clear(c.idle[kept:])
	c.idle = c.idle[:kept]
	c.stats.Open -= n
	c.admit(n)
	switch {
	case c.closed:
	case kept > 0:
		c.sweeper.Reset(time.Duration(age - (now - c.idle[0].since)))
	default:
		c.sweeper = nil
	}
	c.mu.Unlock()
	for _, k := range old {
		k.socket.Close()
	}
}
