//go:build unix

package upstream

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/direct"
)

// readiness is what is done with the bare socket: fewer system calls than by net.Conn, and no buffer during a wait. The request is
// written after the poller was armed, so no read in vain precedes the wait for the answer.
type readiness struct {
	turn    func(fd uintptr) bool // methods of the conn, bound once
	look    func(fd uintptr)
	grab    func(fd uintptr)
	post    func(fd uintptr)
	asking  bool
	out     *buffer
	pending []byte // of out, still to be written
	one     peeked
	quiet   bool
	err     error
}

// attach prepares the bare socket.
func (k *conn) attach(socket net.Conn) {
	s, ok := socket.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return
	}
	k.raw = raw
	k.ready.turn, k.ready.look, k.ready.grab = k.advance, k.peek, k.grab
	k.ready.post = func(fd uintptr) { k.advance(fd) }
}

// exchange writes the first n bytes of out, gives it back, and buffers the first bytes of the answer.
func (k *conn) exchange(out *buffer, n int, call *Call) error {
	k.ready.asks(out, n)
	return k.answered(call)
}

func (r *readiness) asks(out *buffer, n int) {
	r.asking, r.out, r.pending, r.err = true, out, out.b[:n], nil
}

// post begins what answered goes on with: it writes what the socket takes, and does not wait.
func (k *conn) post(out *buffer, n int) {
	k.ready.asks(out, n)
	_ = k.raw.Control(k.ready.post) // answered meets the same error
}

// begins waits at most so long for the first bytes after post, or an error, which answered meets again.
func (k *conn) begins(most time.Duration) bool {
	if k.ready.out != nil {
		return false
	}
	if some, err := k.take(); some || err != nil { // a deadline, which may wake another thread, is not needed
		return true
	}
	k.readBy = 0
	_ = k.socket.SetReadDeadline(time.Now().Add(most))
	if err := k.await(); errors.Is(err, os.ErrDeadlineExceeded) {
		_ = k.within(clock(), k.headBy)
		return false
	}
	return true
}

// answered is the rest of exchange, or all of it.
func (k *conn) answered(call *Call) error {
	r := &k.ready
	if k.w > k.r {
		return nil
	}
	err := k.raw.Read(r.turn)
	if err == nil {
		err = r.err
	}
	if r.out == nil {
		again, err := k.patient(err, k.headBy)
		if again {
			err = k.receive(k.headBy)
		}
		return err
	}
	out, pending := r.out, r.pending
	r.out, r.pending = nil, nil
	if err == nil { // the target does not take all at once
		k.partial, err = k.write(pending, call)
	} else {
		k.partial, err = k.late(err)
	}
	out.giveBack()
	return err
}

// await waits for bytes and buffers them.
func (k *conn) await() error {
	k.ready.asking = false
	if err := k.raw.Read(k.ready.turn); err != nil {
		return err
	}
	return k.ready.err
}

// advance is called when the poller is armed, and then whenever there may be bytes to read; false waits.
func (k *conn) advance(fd uintptr) bool {
	r := &k.ready
	if !r.asking {
		k.grab(fd)
		return r.err != syscall.EAGAIN
	}
	if k.kept {
		if k.peek(fd); !r.quiet {
			r.err = errKept
			return true
		}
	}
	n, err := retry(direct.Write, fd, r.pending)
	if n > 0 {
		k.sent = true
		r.pending = r.pending[n:]
	}
	switch {
	case err != nil && err != syscall.EAGAIN:
		r.err = err
		return true
	case len(r.pending) > 0:
		return true
	}
	r.out.giveBack()
	r.out, r.pending = nil, nil
	r.asking = false
	return false
}

// grab buffers what is there: ready.err is EAGAIN if that is nothing, and io.EOF at the end.
func (k *conn) grab(fd uintptr) {
	if k.buf == nil {
		k.buf = borrow()
	}
	n, err := retry(direct.Read, fd, k.buf.b[k.w:])
	if n == 0 && err == nil {
		err = io.EOF
	}
	k.ready.err = k.came(max(n, 0), err)
}

// peek looks whether anything has come, the end included.
func (k *conn) peek(fd uintptr) { k.ready.quiet = k.quietSocket(fd) }

// quiet tells whether the socket is open and has no bytes to read.
func (k *conn) quiet() bool { return k.raw.Control(k.ready.look) == nil && k.ready.quiet }

// take buffers what is there without waiting.
func (k *conn) take() (some bool, err error) {
	if err := k.raw.Control(k.ready.grab); err != nil {
		return false, err
	}
	if err := k.ready.err; err != nil && err != syscall.EAGAIN {
		return false, err
	}
	return k.ready.err == nil, nil
}

func retry(call func(uintptr, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
