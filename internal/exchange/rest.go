package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/park"
	"github.com/headrace/headrace/internal/trim"
)

// restAfter is how long a kept connection may wait for its next request before it rests: then it costs no goroutine and no buffers. Coming
// back costs about as much as a new connection on loopback, so connections that are in use should not rest.
const restAfter = 250 * time.Millisecond

// A crowd of connections that goes to rest leaves buffers and stacks behind, which the runtime would keep until the next collection, and that
// may be minutes away when little is done.
const (
	crowd     = 1000        // connections
	trimAfter = time.Second // without another one
)

// rest is where plain connections are between two requests that are far apart. Its engine is made when the first one comes.
type rest struct {
	start  sync.Once
	engine *park.Engine // nil if the system has none

	gone atomic.Int64 // connections that went to rest since memory was given back
	trim *time.Timer
}

func (r *rest) open(log *slog.Logger) *park.Engine {
	r.start.Do(func() {
		if runtime.GOOS != "linux" { // elsewhere it would be a goroutine each, as it is without
			return
		}
		engine, err := park.New(park.Options{ReadBuffer: headSize, Log: log})
		if err != nil {
			log.Warn("idle connections are kept by goroutines", "error", err)
			return
		}
		r.trim = time.AfterFunc(time.Hour, r.giveBack)
		r.trim.Stop()
		r.engine = engine
	})
	return r.engine
}

// went counts a connection that went to rest.
func (r *rest) went() {
	if r.gone.Add(1) >= crowd {
		r.trim.Reset(trimAfter)
	}
}

// giveBack lets the system have the memory again.
func (r *rest) giveBack() {
	r.gone.Store(0)
	trim.Now()
}

// stop closes what rests, and lets nothing more rest.
func (r *rest) stop(ctx context.Context) {
	r.start.Do(func() {})
	if r.engine != nil {
		r.trim.Stop()
		_ = r.engine.Stop(ctx)
	}
}

// guest is a plain connection of a door. Where the server lets it, it rests while it is idle.
type guest struct {
	*net.TCPConn
	server          *Server
	early           []byte // was read while it rested
	idle            bool   // the next request is waited for
	rests           atomic.Bool
	readBy, writeBy due
	socket
	linger
	turn
}

func newGuest(c *net.TCPConn, s *Server) *guest {
	g := &guest{TCPConn: c, server: s}
	g.attach()
	return g
}

// NetConn is the connection itself.
func (g *guest) NetConn() net.Conn { return g.TCPConn }

// tired tells whether the connection may go to rest.
func (g *guest) tired() bool {
	o := &g.server.options
	return g.idle && o.Rest && o.IdleTimeout > restAfter
}

// SetReadDeadline ends the wait for the next request early.
func (g *guest) SetReadDeadline(t time.Time) error {
	if g.tired() && !t.IsZero() {
		t = t.Add(restAfter - g.server.options.IdleTimeout)
	}
	return g.readBy.set(g.TCPConn, (*net.TCPConn).SetReadDeadline, t)
}

// SetWriteDeadline implements net.Conn.
func (g *guest) SetWriteDeadline(t time.Time) error {
	return g.writeBy.set(g.TCPConn, (*net.TCPConn).SetWriteDeadline, t)
}

// SetDeadline implements net.Conn.
func (g *guest) SetDeadline(t time.Time) error {
	return errors.Join(g.SetReadDeadline(t), g.SetWriteDeadline(t))
}

// Read is the end of the connection, for the server, when it goes to rest.
func (g *guest) Read(b []byte) (int, error) {
	g.read = true
	if len(g.early) > 0 {
		n := copy(b, g.early)
		if g.early = g.early[n:]; len(g.early) == 0 {
			g.early = nil
		}
		return n, nil
	}
	for {
		n, err := g.receive(b)
		if n > 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			return n, err
		}
		if g.readBy.moved(g.TCPConn, (*net.TCPConn).SetReadDeadline) {
			continue
		}
		if g.tired() {
			g.rests.Store(true)
			return 0, io.EOF
		}
		return n, err
	}
}

// Write implements net.Conn.
func (g *guest) Write(b []byte) (n int, err error) {
	for {
		var more int
		more, err = g.send(b[n:])
		if n += more; !errors.Is(err, os.ErrDeadlineExceeded) || !g.writeBy.moved(g.TCPConn, (*net.TCPConn).SetWriteDeadline) {
			return n, err
		}
	}
}

// ReadFrom implements io.ReaderFrom: the kernel sends a file, and knows one deadline.
func (g *guest) ReadFrom(r io.Reader) (int64, error) {
	g.writeBy.settle(g.TCPConn, (*net.TCPConn).SetWriteDeadline)
	return g.TCPConn.ReadFrom(r)
}

// Close closes the connection, or lets it rest.
func (g *guest) Close() error {
	if g.rests.Load() {
		if engine := g.server.rest.open(g.server.options.Log); engine != nil {
			conn, err := engine.Park(g.TCPConn, nil, &sleeper{server: g.server})
			if err == nil {
				conn.Wake(g.server.options.IdleTimeout - restAfter)
				g.server.rest.went()
				return nil
			}
		}
		g.rests.Store(false)
	}
	g.end(g.server.running, g.TCPConn, g.TCPConn)
	return g.TCPConn.Close()
}

// sleeper is the owner of a connection that rests. It is a park.Handler.
type sleeper struct{ server *Server }

// Read wakes the connection with what came.
func (s *sleeper) Read(c *park.Conn, b []byte) int {
	conn, err := c.Leave()
	if err != nil {
		c.Close(err)
		return len(b)
	}
	tcp, ok := conn.(*net.TCPConn)
	if !ok { // no door has others
		_ = conn.Close()
		s.server.Leave()
		return len(b)
	}
	g := newGuest(tcp, s.server)
	g.early = bytes.Clone(b)
	s.server.keep(g)
	s.server.serving.Go(func() { _ = s.server.server.ServeConn(g) })
	return len(b)
}

// Writable implements park.Handler.
func (*sleeper) Writable(*park.Conn) {}

// Tick is the end of IdleTimeout.
func (*sleeper) Tick(c *park.Conn) { c.Close(nil) }

// Closed counts the connection no more, unless it woke.
func (s *sleeper) Closed(_ *park.Conn, err error) {
	if !errors.Is(err, park.ErrLeft) {
		s.server.Leave()
	}
}
