package exchange

import (
	"io"
	"sync"
	"syscall"

	"github.com/headrace/headrace/internal/direct"
)

// socket reads and writes a connection by package direct.
type socket struct {
	raw     syscall.RawConn
	in, out transfer
}

// transfer is one way.
type transfer struct {
	mu   sync.Mutex
	call func(fd uintptr, p []byte) (int, error)
	p    []byte
	n    int
	err  error
	turn func(fd uintptr) bool // a method, bound once
}

// attach readies the connection.
func (g *guest) attach() {
	g.in.call, g.out.call = direct.Read, direct.Write
	g.in.turn, g.out.turn = g.in.once, g.out.whole
	g.raw, _ = g.TCPConn.SyscallConn() // of a connection that is there it cannot fail
}

// receive is Read of the connection.
func (g *guest) receive(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, err := g.in.run(g.raw.Read, p)
	if n == 0 && err == nil {
		err = io.EOF
	}
	return n, err
}

// send is Write of the connection.
func (g *guest) send(p []byte) (int, error) { return g.out.run(g.raw.Write, p) }

func (t *transfer) run(wait func(func(fd uintptr) bool) error, p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.p, t.n, t.err = p, 0, nil
	err := wait(t.turn)
	if err == nil {
		err = t.err
	}
	t.p = nil
	return t.n, err
}

// once takes what there is. False waits.
func (t *transfer) once(fd uintptr) bool {
	for {
		n, err := t.call(fd, t.p)
		switch err {
		case nil:
			t.n, t.p = t.n+n, t.p[n:]
			return true
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
			return true
		}
	}
}

// whole takes all.
func (t *transfer) whole(fd uintptr) bool {
	for len(t.p) > 0 && t.err == nil {
		if !t.once(fd) {
			return false
		}
	}
	return true
}
