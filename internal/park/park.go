// Package park keeps open connections for the price of a file descriptor and about a hundred bytes. A parked connection has no
// goroutine, no buffer and no place in Go's netpoller: epoll watches the socket, and a pooled goroutine runs the connection's
// Handler only while there is something to do. Connections that are no plain sockets (TLS), and systems without epoll, get a
// goroutine each behind the same API.
package park

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"
)

// ErrBlocked is Write's answer while bytes of an earlier Write wait for the socket. Nothing was taken; Handler.Writable follows.
var ErrBlocked = errors.New("park: the peer does not read")

// ErrStopped is the reason of connections that Engine.Stop closed, and the answer of Park afterwards.
var ErrStopped = errors.New("park: the engine is stopped")

// ErrPartial closes a connection whose Handler left more than Options.Partial bytes untaken.
var ErrPartial = errors.New("park: too many bytes are not taken")

// ErrPanic closes a connection whose Handler panicked; the panic is logged with its stack.
var ErrPanic = errors.New("park: the handler panicked")

// grace bounds both parts of a close: writing what is kept, then waiting for the peer's end.
const grace = time.Second

// Handler is the owner of a parked connection. Its methods run on pooled goroutines and may block: only their connection waits.
// Writable and Tick may run while Read runs; Read, Writable and Tick each never overlap themselves. The first call may come
// before Park has returned.
type Handler interface {
	// Read gets what arrived and returns how much of it is done with. The rest comes again with more behind it. b is valid, and may
	// be written to, until Read returns.
	Read(c *Conn, b []byte) (taken int)
	// Writable says that what an earlier Write left behind is written. It also comes once when the connection begins to close after
	// a Write that got ErrBlocked, so that a Read may wait for it; Write then returns net.ErrClosed.
	Writable(c *Conn)
	// Tick says that the time of Wake has come.
	Tick(c *Conn)
	// Closed is the last call and comes exactly once. err is what Close was given, io.EOF after the peer's end, or the socket's error.
	Closed(c *Conn, err error)
}

// Options of an Engine; the zero value is useful.
type Options struct {
	Pollers    int          // epoll instances; default GOMAXPROCS, at most 4
	ReadBuffer int          // bytes of one read, borrowed while Handler.Read runs; default 16 KiB
	Partial    int          // bytes that a Handler may leave untaken; default 1 MiB
	Log        *slog.Logger // default slog.Default
}

// Engine watches parked connections.
type Engine struct {
	partial int
	log     *slog.Logger
	crew    crew
	wheel   wheel
	pollers []*poller

	mu      sync.RWMutex
	conns   []*Conn            // by file descriptor
	streams map[*Conn]struct{} // connections without a descriptor of ours
	count   int
	made    uint32 // generations handed out
	stopped bool
	empty   chan struct{} // closed when stopped and the last connection is gone
}

// New starts an engine. It fails when the system gives no epoll instance.
func New(o Options) (*Engine, error) {
	if o.Pollers <= 0 {
		o.Pollers = min(runtime.GOMAXPROCS(0), 4)
	}
	if o.ReadBuffer <= 0 {
		o.ReadBuffer = 16 << 10
	}
	if o.Partial <= 0 {
		o.Partial = 1 << 20
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	e := &Engine{partial: o.Partial, log: o.Log, streams: map[*Conn]struct{}{}, empty: make(chan struct{})}
	e.crew.init(o.ReadBuffer)
	for range o.Pollers {
		p, err := newPoller(e)
		if err != nil {
			for _, p := range e.pollers {
				p.stop()
			}
			return nil, fmt.Errorf("park: start a poller: %w", err)
		}
		e.pollers = append(e.pollers, p)
	}
	e.wheel.start()
	return e, nil
}

// Park takes a connection over: c's socket is duplicated and c is closed, so its former owner must not use it any more. early are
// bytes that were read from it already; the Handler gets them first. On an error c is untouched and still the caller's.
func (e *Engine) Park(c net.Conn, early []byte, h Handler) (*Conn, error) {
	conn := &Conn{engine: e, handler: h, fd: -1}
	conn.setRemote(c.RemoteAddr())
	if len(early) > 0 {
		conn.more = &more{rest: append([]byte(nil), early...)}
		conn.flags |= first
	}
	fd, err := takeOver(c)
	if errors.Is(err, errNoSocket) {
		return e.parkStream(conn, c)
	}
	if err != nil {
		return nil, fmt.Errorf("park: take the socket over: %w", err)
	}
	conn.fd = int32(fd)
	conn.mu.Lock() // events that come now wait until the connection is whole
	if err := e.add(conn); err != nil {
		conn.mu.Unlock()
		sysClose(fd)
		return nil, err
	}
	if err := conn.poller().watch(conn); err != nil {
		conn.state, conn.flags = dead, conn.flags|told|released
		e.forget(conn)
		conn.mu.Unlock()
		sysClose(fd)
		return nil, fmt.Errorf("park: watch the socket: %w", err)
	}
	if conn.flags&first != 0 {
		conn.queue(doRead, reading)
	}
	conn.mu.Unlock()
	c.Close()
	return conn, nil
}

// Len is the number of connections that hold a socket, those that are just closing included.
func (e *Engine) Len() int {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return e.count
}

// Stop closes every connection with ErrStopped, waits until they are gone, and stops the pollers. When ctx ends first, the rest are
// cut off and its error is returned; a Handler that still blocks then gets its Closed when it returns.
func (e *Engine) Stop(ctx context.Context) error {
	e.mu.Lock()
	first := !e.stopped
	e.stopped = true
	if first && e.count == 0 {
		close(e.empty)
	}
	e.mu.Unlock()
	for _, c := range e.all() {
		c.Close(ErrStopped)
	}
	var err error
	select {
	case <-e.empty:
	case <-ctx.Done():
		err = ctx.Err()
		for _, c := range e.all() {
			c.cut(ErrStopped)
		}
	}
	if first {
		for _, p := range e.pollers {
			p.stop()
		}
		e.wheel.stop()
		e.crew.stop()
	}
	return err
}

func (e *Engine) all() []*Conn {
	e.mu.RLock()
	defer e.mu.RUnlock()
	all := make([]*Conn, 0, e.count)
	for _, c := range e.conns {
		if c != nil {
			all = append(all, c)
		}
	}
	for c := range e.streams {
		all = append(all, c)
	}
	return all
}

// add enters a connection and gives it its generation, which tells its events from those of an earlier socket with the same number.
func (e *Engine) add(c *Conn) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.stopped {
		return ErrStopped
	}
	e.count++
	if c.fd < 0 {
		e.streams[c] = struct{}{}
		return nil
	}
	e.made++
	c.generation = e.made
	for int(c.fd) >= len(e.conns) {
		e.conns = append(e.conns, nil)
	}
	e.conns[c.fd] = c
	return nil
}

func (e *Engine) forget(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if c.fd >= 0 {
		e.conns[c.fd] = nil
	} else {
		delete(e.streams, c)
	}
	if e.count--; e.stopped && e.count == 0 {
		close(e.empty)
	}
}

func address(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort()
	case nil:
		return netip.AddrPort{}
	default:
		at, _ := netip.ParseAddrPort(a.String())
		return at
	}
}
