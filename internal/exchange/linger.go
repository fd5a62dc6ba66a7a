package exchange

import (
	"context"
	"net"
	"sync/atomic"
	"time"
)

// A client that is still sending when the answer is there, as one that is refused is, must get to read it: were the connection closed with
// bytes that nobody has read, the system would reset it and the answer could be lost. So no more is sent, and what comes is dropped, for a while.
const (
	lingerPause = 5 * time.Second  // between two pieces
	lingerTime  = 30 * time.Second // for all
	lingerSize  = 64 << 20         // bytes
)

// linger is what a connection knows of that.
type linger struct{ sending atomic.Bool }

// mark takes note whether the client may be sending when the connection is closed.
func (l *linger) mark(sending bool) {
	if sending || l.sending.Load() {
		l.sending.Store(sending)
	}
}

// lingering are connections that can.
type lingering interface{ mark(sending bool) }

// unread takes note of a request whose body may not be read to its end when it is answered. One whose connection was taken over is none: the
// socket may live on when the connection is closed.
func unread(c net.Conn, sending bool) {
	if l, ok := c.(lingering); ok {
		l.mark(sending)
	}
}

// end lets the client read the answer before c is closed, if it may be sending. A second call does not wait, nor does one while the server stops.
func (l *linger) end(running context.Context, half interface{ CloseWrite() error }, c net.Conn) {
	if !l.sending.Swap(false) || running.Err() != nil || half.CloseWrite() != nil {
		return
	}
	defer context.AfterFunc(running, func() { _ = c.Close() })()
	piece := pieces.Get().(*[]byte)
	defer pieces.Put(piece)
	last := time.Now().Add(lingerTime)
	for dropped := 0; dropped < lingerSize; {
		by := time.Now().Add(lingerPause)
		if by.After(last) {
			by = last
		}
		_ = c.SetReadDeadline(by)
		n, err := c.Read(*piece)
		if err != nil {
			return
		}
		dropped += n
	}
}
