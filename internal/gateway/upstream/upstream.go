// Package upstream is an HTTP/1.1 client for one target of a proxy. A call runs in the goroutine of its caller: it writes the request,
// waits for the socket and reads the answer; nothing is handed to another goroutine. Framing is read strictly (RFC 9112): an answer
// whose end could be understood in two ways is refused, and a connection is used again only if nothing is left on it. Refused are also
// what some clients mend: a Content-Length that is repeated, even with the same value, lines that end with LF alone, folded headers.
//
// It knows no configuration and no policy. What may be tried again elsewhere is for the caller to say, who learns from [Error] how far
// the call has come.
package upstream

import (
	"crypto/tls"
	"net"
	"sync"
	"time"
)

// Options say where a target is and how it is spoken to. Durations of 0 and below stand for their default.
type Options struct {
	// Network and Address as of net.Dial: tcp and host:port, or unix and a path.
	Network, Address string
	// TLS with the target; nil speaks without. Its ServerName defaults to the host of Address; HTTP/1.1 is the only protocol offered.
	TLS *tls.Config
	// ConnectTimeout bounds connecting, the TLS handshake included, and the wait for one of MaxConns connections; 2 s by default.
	ConnectTimeout time.Duration
	// HeaderTimeout runs from the end of the request to the head of the answer; 1 min by default.
	HeaderTimeout time.Duration
	// IdleTimeout is the time between two pieces of a body, either way; 1 min by default.
	IdleTimeout time.Duration
	// KeepAlive is how long a connection is kept without a call; 1 min by default.
	KeepAlive time.Duration
	// MaxIdle is how many connections are kept without a call; 0 keeps none, and tells the target so.
	MaxIdle int
	// MaxConns is how many connections there are at a time; 0 is no limit. A call that finds none waits its turn, first come, first served.
	MaxConns int
	// MaxHead is the most bytes of an answer's head, and of its trailers; 64 KiB by default.
	MaxHead int
	// MaxLines is the most header lines of an answer, and of its trailers; 256 by default.
	MaxLines int
	// Inline is the size up to which a body is read into the Response whole; 64 KiB by default.
	Inline int
}

// Stats are the figures of a Client.
type Stats struct {
	Open   int    // connections, idle ones and tunnels included
	Idle   int    // connections without a call
	Dials  uint64 // connections that were asked for since New
	Reused uint64 // calls that went over a connection that was kept
}

// Client calls one target. Its methods may be called at the same time.
type Client struct {
	options Options
	tls     *tls.Config

	mu      sync.Mutex
	idle    []*conn // the one used last is at the end
	waiting []*waiter
	sweeper *time.Timer // closes connections that have been idle for too long; nil while there are none
	stats   Stats
	closed  bool
}

// New returns a Client without connections.
func New(o Options) *Client {
	for _, d := range []struct {
		value    *time.Duration
		standard time.Duration
	}{
		{&o.ConnectTimeout, 2 * time.Second}, {&o.HeaderTimeout, time.Minute}, {&o.IdleTimeout, time.Minute}, {&o.KeepAlive, time.Minute},
	} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	for _, n := range []struct {
		value    *int
		standard int
	}{{&o.MaxHead, 64 << 10}, {&o.MaxLines, 256}, {&o.Inline, 64 << 10}} {
		if *n.value <= 0 {
			*n.value = n.standard
		}
	}
	c := &Client{options: o}
	if o.TLS != nil {
		c.tls = o.TLS.Clone()
		c.tls.NextProtos = []string{"http/1.1"}
		if c.tls.ServerName == "" {
			c.tls.ServerName, _, _ = net.SplitHostPort(o.Address)
		}
		if c.tls.ClientSessionCache == nil {
			c.tls.ClientSessionCache = tls.NewLRUClientSessionCache(16)
		}
	}
	return c
}

// Stats are the figures of this moment.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Idle = len(c.idle)
	return s
}

// Close closes the connections that are idle now, and the others when their calls end. A call that comes later still works, over a
// connection of its own: whoever has picked this target just before it was replaced gets an answer.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	idle := c.idle
	c.idle = nil
	c.stats.Open -= len(idle)
	if c.sweeper != nil {
		c.sweeper.Stop()
		c.sweeper = nil
	}
	c.admit(len(idle))
	c.mu.Unlock()
	for _, k := range idle {
		k.socket.Close()
	}
}
