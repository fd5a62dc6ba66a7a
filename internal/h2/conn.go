package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	streamWindow = 256 << 10              // bytes of a body that may wait for its handler
	connWindow   = 1 << 20                // of all bodies of a connection
	tableSize    = 4 << 10                // of the compression of heads, both ways
	lingerTime   = time.Second            // for a client to take GOAWAY
	quitTime     = 100 * time.Millisecond // for it to take the last answer
)

// conn is one connection.
type conn struct {
	server *Server
	base   context.Context
	nc     net.Conn
	tls    *tls.ConnectionState
	remote string
	framer *http2.Framer // reads
	seen   atomic.Int64  // when the last frame came; Unix nanoseconds
	idle   *time.Timer

	mu       sync.Mutex
	room     sync.Cond // told when a window opens, when output went, and when anything ends
	waiting  int       // for room
	streams  map[uint32]*stream
	running  int    // handlers, those of streams that were reset included
	last     uint32 // the latest stream of the client
	closed   closed
	leaving  bool // GOAWAY says that there are no more streams
	leftover bool // the client has acknowledged it, or had time to
	output
	windows
}

// closed are the streams that ended last.
type closed struct {
	all  [64]ended
	next int
}

type ended struct {
	id   uint32
	ours bool // we ended it before the client did, which may be sending yet
}

func (r *closed) add(id uint32, ours bool) {
	r.all[r.next%len(r.all)] = ended{id, ours}
	r.next++
}

func (r *closed) find(id uint32) (there, ours bool) {
	for _, e := range r.all {
		if e.id == id {
			return true, e.ours
		}
	}
	return false, false
}

func newConn(base context.Context, s *Server, nc net.Conn, state *tls.ConnectionState) *conn {
	o := &s.options
	c := &conn{server: s, base: base, nc: nc, tls: state, remote: nc.RemoteAddr().String(), streams: map[uint32]*stream{}}
	c.room.L = &c.mu
	c.framer = http2.NewFramer(nil, nc)
	c.framer.SetReuseFrames()
	c.framer.SetMaxReadFrameSize(uint32(o.MaxFrame))
	c.framer.ReadMetaHeaders = hpack.NewDecoder(tableSize, nil)
	c.framer.MaxHeaderListSize = uint32(o.MaxHeader)
	c.open()
	c.settings( // nothing is sent before
		http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(o.MaxStreams)},
		http2.Setting{ID: http2.SettingMaxFrameSize, Val: uint32(o.MaxFrame)},
		http2.Setting{ID: http2.SettingMaxHeaderListSize, Val: uint32(o.MaxHeader)},
		http2.Setting{ID: http2.SettingInitialWindowSize, Val: streamWindow},
	)
	c.windowUpdate(0, connWindow-defaultWindow)
	return c
}

// serve reads until the connection is done, then waits for what still writes.
func (c *conn) serve() {
	c.seen.Store(time.Now().UnixNano())
	c.mu.Lock()
	c.idle = time.AfterFunc(c.server.options.IdleTimeout, c.rest)
	c.mu.Unlock()
	err := c.greet()
	for err == nil {
		err = c.next()
	}
	c.idle.Stop()
	c.end(err)
}

var errPreface = http2.ConnectionError(http2.ErrCodeProtocol)

// greet takes the preface of the client and sends ours.
func (c *conn) greet() error {
	if s := c.tls; s != nil && (s.Version < tls.VersionTLS12 || s.Version == tls.VersionTLS12 && !strong[s.CipherSuite]) {
		return http2.ConnectionError(http2.ErrCodeInadequateSecurity)
	}
	c.mu.Lock()
	c.kick()
	c.mu.Unlock()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c.nc, preface); err != nil {
		return err
	}
	if !bytes.Equal(preface, []byte(http2.ClientPreface)) {
		return errPreface
	}
	f, err := c.framer.ReadFrame()
	if err != nil {
		return err
	}
	settings, ok := f.(*http2.SettingsFrame)
	if !ok || settings.IsAck() {
		return errPreface
	}
	return c.takeSettings(settings)
}

// strong are the suites of TLS 1.2 that RFC 9113 allows.
var strong = map[uint16]bool{
	tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256: true,
	tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384: true, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384: true,
	tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256: true, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256: true,
}

// next takes one frame. Its error ends the connection.
func (c *conn) next() error {
	f, err := c.framer.ReadFrame()
	c.seen.Store(time.Now().UnixNano())
	if err == nil {
		err = c.take(f)
	}
	var fault http2.StreamError
	if errors.As(err, &fault) {
		c.server.faults.stream(c.remote, fault)
		c.mu.Lock()
		err = c.refuse(fault)
		c.kick()
		c.mu.Unlock()
	}
	return err
}

// refuse resets a stream that the client has made a fault with.
func (c *conn) refuse(fault http2.StreamError) error {
	s := c.streams[fault.StreamID]
	if s == nil {
		if fault.StreamID > c.last && !c.leftover { // its head was malformed
			c.last = fault.StreamID
			c.closed.add(fault.StreamID, true)
		}
		c.reset(fault.StreamID, fault.Code)
		return nil
	}
	s.cut(fault.Code)
	return nil
}

// end says why the connection ends, as far as the client can know it, and lets go of all streams.
func (c *conn) end(err error) {
	code, say := http2.ErrCodeNo, false
	var fault http2.ConnectionError
	switch {
	case errors.As(err, &fault):
		code, say = http2.ErrCode(fault), true
	case errors.Is(err, http2.ErrFrameTooLarge):
		code, say = http2.ErrCodeFrameSize, true
	}
	if say {
		c.server.faults.conn(c.remote, code)
	}
	c.mu.Lock()
	if say {
		c.goAway(c.last, code)
		time.AfterFunc(lingerTime, func() { _ = c.nc.Close() })
		for c.flush(); c.flushing; {
			c.wait()
		}
	}
	c.broken = true
	for _, s := range c.streams {
		s.gone()
	}
	c.room.Broadcast()
	c.mu.Unlock()
	if say { // what still comes is thrown away, so that GOAWAY is not lost to a reset
		_, _ = io.Copy(io.Discard, c.nc)
	}
	_ = c.nc.Close()
	c.mu.Lock()
	for c.running > 0 {
		c.wait()
	}
	c.mu.Unlock()
}

// wait waits for room. It is called with c.mu held.
func (c *conn) wait() {
	c.waiting++
	c.room.Wait()
	c.waiting--
}

// tell wakes who waits for room. It is called with c.mu held.
func (c *conn) tell() {
	if c.waiting > 0 {
		c.room.Broadcast()
	}
}

// rest ends a connection without requests.
func (c *conn) rest() {
	limit := c.server.options.IdleTimeout
	quiet := time.Since(time.Unix(0, c.seen.Load()))
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.running > 0:
		c.idle.Reset(limit)
	case quiet < limit:
		c.idle.Reset(limit - quiet)
	default:
		c.farewell()
	}
}

// leave is farewell for those who do not hold the lock.
func (c *conn) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.farewell()
}

// parting is the payload of the ping that follows the first GOAWAY.
var parting = [8]byte{'f', 'a', 'r', 'e', 'w', 'e', 'l', 'l'}

// farewell lets the client know that it should open no more streams. Those that were under way when it got to know are served. It is called with
// c.mu held.
func (c *conn) farewell() {
	if c.leaving || c.broken {
		return
	}
	c.leaving = true
	c.goAway(1<<31-1, http2.ErrCodeNo)
	c.ping(parting, false)
	c.kick()
	time.AfterFunc(lingerTime, c.left)
}

// left says which stream was the last one.
func (c *conn) left() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.leftover || c.broken {
		return
	}
	c.leftover = true
	c.goAway(c.last, http2.ErrCodeNo)
	c.kick()
	c.quit()
}

// quit closes a connection that is left once it has no streams, and gives the client a moment to read the last answer. It is called with c.mu held.
func (c *conn) quit() {
	if c.leftover && c.running == 0 && !c.flushing {
		time.AfterFunc(quitTime, func() { _ = c.nc.Close() })
	}
}
