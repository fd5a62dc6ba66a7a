package exchange

import (
	"net"
	"sync"
	"time"
)

// due is a deadline of a socket that is moved with every request. A later one is only remembered: the socket learns of it when the earlier one
// has passed, for telling it costs more than half a microsecond, and nobody waits for that long.
type due struct {
	mu         sync.Mutex
	want, told time.Time // what was asked for, and what the socket knows
	known      bool      // told is what the socket knows
}

// tell is SetReadDeadline or SetWriteDeadline.
type tell func(*net.TCPConn, time.Time) error

// set is a new deadline; that of zero is none.
func (d *due) set(c *net.TCPConn, to tell, at time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.want = at
	if d.known && !at.IsZero() && !d.told.IsZero() && !at.Before(d.told) {
		return nil
	}
	return d.pass(c, to)
}

// moved tells, after a timeout, whether it was of a deadline that has been moved since.
func (d *due) moved(c *net.TCPConn, to tell) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return (d.want.IsZero() || time.Now().Before(d.want)) && d.pass(c, to) == nil
}

// settle has the socket know the deadline now.
func (d *due) settle(c *net.TCPConn, to tell) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known && !d.told.Equal(d.want) {
		_ = d.pass(c, to) // of a socket that is closed it fails, as what follows will
	}
}

func (d *due) pass(c *net.TCPConn, to tell) error {
	d.told, d.known = d.want, true
	return to(c, d.want)
}
