// Package exchange is what the doors of headrace share: a bounded HTTP/1.1 server, the way of a request body into arguments, and the
// way of jobs, calls, events and files into answers. It knows no routes and no tokens; the packages control and edge do.
package exchange

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Options say how a server listens.
type Options struct {
	Plane  string // control or edge; part of the names of its metrics
	Listen string // address; port 0 takes a free one
	// Socket makes the listening socket of Start; nil is net.Listen.
	Socket         func(network, address string) (net.Listener, error)
	HeaderTimeout  time.Duration // for the head of a request
	IdleTimeout    time.Duration // between requests, and between two reads of a body
	MaxConnections int           // 0 is no limit
	Log            *slog.Logger
	Traces         *observe.Traces // nil records no spans
	// Admit is asked when the head of a request is there and its body is not. Its error is the answer.
	Admit func(*Request) error
	// Serve answers. Its error is the answer instead.
	Serve func(*Request) error
	// Finish may change the answer before it is written; nil leaves it.
	Finish func(*Request)
	// Broken is told of the answer to what could not be read as a request, before it is written; nil leaves it.
	Broken func(*Request)
	// Rest lets plain connections rest while they are idle, which pays where there may be many.
	Rest bool
	// Trusted are the addresses of proxies whose word about the client is believed.
	Trusted config.Prefixes
}

// Server is a door.
type Server struct {
	Metrics *Metrics

	options Options
	server  *fasthttp.Server
	open    atomic.Int64
	serving sync.WaitGroup // of the doors
	rest    rest           // of idle connections
	stopped atomic.Bool
	running context.Context // of answers that stream; ends with Stop
	end     context.CancelFunc

	mu        sync.Mutex
	listeners []net.Listener
	conns     map[net.Conn]struct{}
}

const (
	headSize = 16 << 10 // most bytes of a request's head
	prefetch = 8 << 10  // fasthttp reads this much of a body before it calls a handler
	minRate  = 32 << 10 // bytes a second that a client must take of a long answer
)

// NewServer returns a server that does not listen yet.
func NewServer(o Options) *Server {
	s := &Server{options: o, Metrics: newMetrics(o.Plane), conns: map[net.Conn]struct{}{}}
	s.running, s.end = context.WithCancel(context.Background())
	s.server = &fasthttp.Server{
		Handler: s.handle, HeaderReceived: headerReceived, ExpectHandler: s.expect, ErrorHandler: s.broken, ConnState: s.connState,
		ReadTimeout: o.HeaderTimeout, WriteTimeout: o.IdleTimeout, IdleTimeout: o.IdleTimeout, ReadBufferSize: headSize,
		MaxRequestBodySize: math.MaxInt, Concurrency: math.MaxInt32,
		StreamRequestBody: true, DisablePreParseMultipartForm: true, NoDefaultServerHeader: true, NoDefaultContentType: true,
		CloseOnShutdown: true, Logger: printer{o.Log}, SecureErrorLogMessage: true, // errors reach clients
	}
	return s
}

// Start listens; HR9004 if it cannot.
func (s *Server) Start() error {
	socket := s.options.Socket
	if socket == nil {
		socket = net.Listen
	}
	listener, err := socket("tcp", s.options.Listen)
	if err != nil {
		key := map[string]string{"control": "admin.listen", "edge": "server.listen"}[s.options.Plane]
		e := problem.New("HR9004", "cannot listen on %s: %w", s.options.Listen, err).At(key)
		if !errors.Is(err, syscall.EADDRINUSE) {
			e = e.Hinting("set %s to an address of this machine that it may use", key)
		}
		return e
	}
	s.Open(Door{Listener: listener})
	return nil
}

// Addr is the address of the door that was opened first; nil before.
func (s *Server) Addr() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.listeners) == 0 {
		return nil
	}
	return s.listeners[0].Addr()
}

// Drain takes no more connections and lets requests finish, with their streams, until ctx ends. Stop is still needed.
func (s *Server) Drain(ctx context.Context) error {
	s.rest.stop(ctx)
	return s.server.ShutdownWithContext(ctx)
}

// Stop takes no more connections, ends the answers that stream, lets the others finish, and cuts what is left when ctx ends. Only the
// first call does.
func (s *Server) Stop(ctx context.Context) error {
	s.end()
	if s.stopped.Swap(true) {
		s.serving.Wait()
		return nil
	}
	s.rest.stop(ctx)
	err := s.server.ShutdownWithContext(ctx)
	s.mu.Lock()
	for _, l := range s.listeners {
		_ = l.Close() // fasthttp does not know it yet if Stop follows Start at once
	}
	for c := range s.conns { // none, unless ctx ended
		_ = c.Close()
	}
	s.mu.Unlock()
	s.serving.Wait()
	return err
}

// headerReceived lets the handler of a request with a long body run before the body is there.
func headerReceived(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
	if h.ContentLength() > prefetch {
		return fasthttp.RequestConfig{MaxRequestBodySize: 1}
	}
	return fasthttp.RequestConfig{}
}

// admitted is the key of the request in its context, between Expect: 100-continue and the body.
const admitted = "headrace.admitted"

// expect answers Expect: 100-continue. What was admitted is not asked again when the body is there.
func (s *Server) expect(ctx *fasthttp.RequestCtx) int {
	r := acquire(ctx, s)
	if err := s.admit(r); err != nil {
		s.conclude(r, err)
		return ctx.Response.StatusCode()
	}
	ctx.SetUserValue(admitted, &pending{r})
	return fasthttp.StatusContinue
}

// pending is a request whose body is waited for. It is closed if the body does not come.
type pending struct{ request *Request }

// Close implements io.Closer.
func (p *pending) Close() error {
	if p.request != nil {
		p.request.end()
		p.request.release()
		p.request = nil
	}
	return nil
}

func (s *Server) handle(ctx *fasthttp.RequestCtx) {
	if p, before := ctx.UserValue(admitted).(*pending); before {
		r := p.request
		p.request = nil
		s.exchange(r, true)
		return
	}
	s.exchange(acquire(ctx, s), false)
}

// exchange makes the answer to a request.
func (s *Server) exchange(r *Request, admitted bool) {
	var err error
	defer func() {
		if panicked := recover(); panicked != nil {
			s.options.Log.Error("panic", "plane", s.options.Plane, "path", string(r.Path()), "panic", panicked, "stack", string(debug.Stack()))
			err = problem.New("HR7004", "the request ended in a panic")
			if r.Standard != nil {
				r.Standard.Aborted = true // if it has begun
			}
		}
		s.conclude(r, err)
	}()
	if !admitted {
		err = s.admit(r)
	}
	if err == nil {
		err = s.options.Serve(r)
	}
}

// Check tells what a door refuses of a request whatever its routes are: HR1011, HR4002, HR4003 or HR4011; nil if nothing.
func Check(r *fasthttp.Request) error { return strict(r) }

// admit asks whether the request may pass. One that is not sound ends its connection: nobody knows where the next one would begin.
func (s *Server) admit(r *Request) error {
	if r.Standard == nil {
		if err := strict(&r.Request); err != nil {
			r.SetConnectionClose()
			return err
		}
	}
	return s.options.Admit(r)
}

// conclude makes the answer complete and lets go of the request.
func (s *Server) conclude(r *Request, err error) {
	if err != nil && err != Answered {
		r.Problem(err)
	}
	if s.options.Finish != nil {
		s.finish(r)
	}
	s.Metrics.observe(r.RequestCtx)
	if r.Standard == nil {
		unread(r.Conn(), !r.Hijacked() && (r.RequestBodyStream() != nil || r.Request.MayContinue()))
	}
	r.end()
	r.release()
}

func (s *Server) finish(r *Request) {
	defer func() {
		if panicked := recover(); panicked != nil {
			s.options.Log.Error("panic", "plane", s.options.Plane, "path", string(r.Path()), "panic", panicked, "stack", string(debug.Stack()))
			r.Problem(problem.New("HR7004", "the answer ended in a panic"))
		}
	}()
	s.options.Finish(r)
}

// broken answers a request that could not be read.
func (s *Server) broken(ctx *fasthttp.RequestCtx, err error) {
	var small *fasthttp.ErrSmallBuffer
	var network net.Error
	var p *problem.Error
	switch {
	case errors.As(err, &small):
		p = problem.New("HR1009", "the head of the request is larger than %d bytes", headSize)
	case errors.As(err, &network) && network.Timeout():
		p = problem.New("HR1010", "the request did not come in time")
	case cut(err):
		p = problem.New("HR1004", "the body ended early")
	default:
		p = problem.New("HR1011", "the request cannot be read: %w", err)
	}
	r := acquire(ctx, s)
	defer r.release()
	r.Problem(p)
	unread(ctx.Conn(), p.Code != "HR1010")
	if state := ctx.TLSConnectionState(); state == nil || state.HandshakeComplete { // who fails at TLS has asked for nothing
		s.Metrics.observe(ctx)
		if s.options.Broken != nil {
			s.options.Broken(r)
		}
	}
}

func (s *Server) connState(c net.Conn, state fasthttp.ConnState) {
	g, _ := c.(*guest)
	if t, ok := c.(turning); ok {
		switch state {
		case fasthttp.StateActive:
			t.begins()
		case fasthttp.StateIdle:
			t.ends()
		}
	}
	switch state {
	case fasthttp.StateNew:
		s.keep(c)
	case fasthttp.StateIdle, fasthttp.StateActive:
		unread(c, false)
		if g != nil {
			g.idle = state == fasthttp.StateIdle
		}
	case fasthttp.StateHijacked, fasthttp.StateClosed: // one that was taken over counts where it is now
		s.mu.Lock()
		_, there := s.conns[c]
		delete(s.conns, c)
		s.mu.Unlock()
		if there && (g == nil || !g.rests.Load()) {
			s.Leave()
		}
	}
}

// keep notes a connection, so that Stop can cut it.
func (s *Server) keep(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns[c] = struct{}{}
}

// printer hands fasthttp's log on.
type printer struct{ log *slog.Logger }

func (p printer) Printf(format string, args ...any) { p.log.Debug(fmt.Sprintf(format, args...)) }
