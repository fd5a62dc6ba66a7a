// Package h2 serves HTTP/2 to clients. One goroutine reads a connection; what answers writes to it directly, and whoever writes takes along what
// others have ready, so that a small answer costs one system call at most. Frames are parsed, and heads compressed, by golang.org/x/net.
package h2

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// Protocol is the name of HTTP/2 in TLS.
const Protocol = http2.NextProtoTLS

// Options say how connections are served.
type Options struct {
	Handler     http.Handler
	MaxStreams  int           // requests of a connection that may be under way
	MaxFrame    int           // bytes of a frame of the client, 16 KiB to 16 MiB
	MaxHeader   int           // bytes of a head; a longer one is answered with 431
	IdleTimeout time.Duration // without a request, and for the client to take what is written
	Log         *slog.Logger  // of panics, and of faults of clients, which are bounded in rate
}

// Server serves connections.
type Server struct {
	options Options
	faults  *faults

	mu       sync.Mutex
	conns    map[*conn]struct{}
	draining bool
	empty    chan struct{} // closed when draining has ended the last one
}

// New returns a server.
func New(o Options) *Server {
	return &Server{options: o, faults: newFaults(o.Log), conns: map[*conn]struct{}{}, empty: make(chan struct{})}
}

// Fault logs that a connection was ended for a fault of its client by who reads it before the server does. One client after another cannot fill
// the log: ten lines, then one in a second.
func (s *Server) Fault(remote net.Addr, code http2.ErrCode) { s.faults.conn(remote.String(), code) }

// Serve returns when the connection is done. The values of ctx are those of the contexts of requests; state is nil without TLS.
func (s *Server) Serve(ctx context.Context, nc net.Conn, state *tls.ConnectionState) {
	c := newConn(ctx, s, nc, state)
	s.mu.Lock()
	s.conns[c] = struct{}{}
	draining := s.draining
	s.mu.Unlock()
	if draining {
		c.leave()
	}
	c.serve()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.ended()
}

// ended is called with s.mu held.
func (s *Server) ended() {
	if s.draining && len(s.conns) == 0 {
		select {
		case <-s.empty:
		default:
			close(s.empty)
		}
	}
}

// Drain tells all clients to open no more streams, and waits until what is under way is done or ctx ends.
func (s *Server) Drain(ctx context.Context) {
	s.mu.Lock()
	s.draining = true
	for c := range s.conns {
		go c.leave()
	}
	s.ended()
	s.mu.Unlock()
	select {
	case <-s.empty:
	case <-ctx.Done():
	}
}
