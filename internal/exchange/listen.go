package exchange

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// Door is one way into a server.
type Door struct {
	Listener net.Listener
	// Greet sees a connection before anything else reads it, in a goroutine of its own, and has Options.HeaderTimeout. It may return
	// another connection in its place; its error closes the connection. Nil hands connections on as they are, at no cost.
	Greet func(net.Conn) (net.Conn, error)
	TLS   *tls.Config // nil is a plain door
}

// Protocol lets serve have the connections of this server on which TLS, or Greet with Speaks, has agreed on a protocol such as h2. It
// returns when the connection is done. Call it before the first Open.
func (s *Server) Protocol(name string, serve func(net.Conn) error) {
	s.server.NextProto(name, func(c net.Conn) error {
		if p, ok := c.(spoken); ok {
			c = p.Conn
		}
		return serve(c)
	})
}

// Speaks marks a connection that Greet returns as one of a protocol.
func Speaks(protocol string, c net.Conn) net.Conn { return spoken{c, protocol} }

// spoken has the look of a connection whose handshake has agreed on a protocol.
type spoken struct {
	net.Conn
	protocol string
}

func (spoken) Handshake() error { return nil }

func (s spoken) ConnectionState() tls.ConnectionState {
	return tls.ConnectionState{NegotiatedProtocol: s.protocol}
}

// Open takes the connections of one more door until Stop, which closes its listener.
func (s *Server) Open(d Door) {
	s.mu.Lock()
	s.listeners = append(s.listeners, d.Listener)
	s.mu.Unlock()
	var l net.Listener = &bounded{d.Listener, s, d.TLS != nil, d.TLS == nil && d.Greet == nil}
	if d.Greet != nil {
		l = newGreeter(l, s, d.Greet)
	}
	if d.TLS != nil {
		l = secured{l, s, d.TLS}
	}
	s.serving.Go(func() {
		if err := s.server.Serve(l); err != nil {
			s.options.Log.Error("door closed", "plane", s.options.Plane, "error", err)
		}
	})
}

// secured speaks TLS on the connections of a listener. The handshake is left to who reads first.
type secured struct {
	net.Listener
	server *Server
	config *tls.Config
}

func (s secured) Accept() (net.Conn, error) {
	c, err := s.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &secureConn{Conn: tls.Server(c, s.config), server: s.server}, nil
}

// secureConn is a connection with TLS that may outlive the function that it was hijacked for, after which fasthttp closes it.
type secureConn struct {
	*tls.Conn
	server *Server
	kept   atomic.Bool
	linger
	turn
}

// Read implements net.Conn.
func (c *secureConn) Read(b []byte) (int, error) {
	c.read = true
	return c.Conn.Read(b)
}

// Close implements net.Conn.
func (c *secureConn) Close() error {
	if c.kept.Load() {
		return nil
	}
	c.end(c.server.running, c.Conn, c.NetConn())
	return c.Conn.Close()
}

// Keep returns what a function that was given to Hijack may go on with after it has returned. It must close it.
func Keep(c net.Conn) net.Conn {
	if hijacked, ok := c.(interface{ UnsafeConn() net.Conn }); ok {
		c = hijacked.UnsafeConn()
	}
	if secure, ok := c.(*secureConn); ok {
		secure.kept.Store(true)
		return secure.Conn
	}
	return c
}

// Enter counts a connection that does not come from a door, as those of HTTP/3: HR1012 if there are too many. Leave ends it.
func (s *Server) Enter() error {
	open := s.open.Add(1)
	if most := s.options.MaxConnections; most > 0 && open > int64(most) {
		s.open.Add(-1)
		return problem.New("HR1012", "%d connections are open", open-1)
	}
	s.Metrics.open.Store(open)
	return nil
}

// Leave is the end of a connection that Enter has let in.
func (s *Server) Leave() { s.Metrics.open.Store(s.open.Add(-1)) }

// bounded refuses connections over the limit.
type bounded struct {
	net.Listener
	server *Server
	secure bool
	plain  bool // nothing stands between the socket and HTTP
}

func (b *bounded) Accept() (net.Conn, error) {
	for {
		c, err := b.Listener.Accept()
		if err != nil {
			return nil, err
		}
		refusal := b.server.Enter()
		if refusal == nil {
			if tcp, ok := c.(*net.TCPConn); ok && b.plain {
				return newGuest(tcp, b.server), nil
			}
			return c, nil
		}
		if !b.secure {
			body := AppendProblem(nil, refusal)
			_ = c.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
			fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/problem+json\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
				len(body), body)
		}
		_ = c.Close()
	}
}

// greeter hands connections on that Greet has seen.
type greeter struct {
	net.Listener
	server  *Server
	greet   func(net.Conn) (net.Conn, error)
	greeted chan net.Conn
	closed  chan struct{}
	close   sync.Once

	mu      sync.Mutex
	err     error                 // why the listener ended
	waiting map[net.Conn]struct{} // connections in Greet; nil after Close
}

func newGreeter(l net.Listener, s *Server, greet func(net.Conn) (net.Conn, error)) *greeter {
	g := &greeter{Listener: l, server: s, greet: greet, greeted: make(chan net.Conn), closed: make(chan struct{}), waiting: map[net.Conn]struct{}{}}
	s.serving.Go(g.run)
	return g
}

func (g *greeter) run() {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			g.mu.Lock()
			g.err = err
			g.mu.Unlock()
			g.end()
			return
		}
		g.mu.Lock()
		over := g.waiting == nil
		if !over {
			g.waiting[c] = struct{}{}
		}
		g.mu.Unlock()
		if over {
			g.drop(c)
			continue
		}
		g.server.serving.Go(func() { g.meet(c) })
	}
}

func (g *greeter) meet(c net.Conn) {
	_ = c.SetReadDeadline(time.Now().Add(g.server.options.HeaderTimeout))
	next, err := g.greet(c)
	g.mu.Lock()
	delete(g.waiting, c)
	g.mu.Unlock()
	if err != nil {
		g.drop(c)
		return
	}
	_ = c.SetReadDeadline(time.Time{})
	select {
	case g.greeted <- next:
	case <-g.closed:
		g.drop(c)
	}
}

func (g *greeter) drop(c net.Conn) {
	_ = c.Close()
	g.server.Leave()
}

func (g *greeter) end() {
	g.close.Do(func() {
		close(g.closed)
		g.mu.Lock()
		defer g.mu.Unlock()
		for c := range g.waiting {
			_ = c.Close() // ends its Greet
		}
		g.waiting = nil
	})
}

// Accept implements net.Listener.
func (g *greeter) Accept() (net.Conn, error) {
	select {
	case c := <-g.greeted:
		return c, nil
	case <-g.closed:
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.err == nil {
			return nil, net.ErrClosed
		}
		return nil, g.err
	}
}

// Close implements net.Listener.
func (g *greeter) Close() error {
	err := g.Listener.Close()
	g.end()
	return err
}
