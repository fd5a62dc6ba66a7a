package proxy

import (
	"io"
	"net"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/gateway/upstream"
)

const (
	pieceSize = 32 << 10
	tlsPiece  = 4 << 10 // held while a connection with TLS is idle, because nobody can tell whether it has bytes
)

var pieces = sync.Pool{New: func() any { b := make([]byte, pieceSize); return &b }}

// carry copies from one connection to another until its end. It borrows a buffer when there are bytes.
func carry(to io.Writer, from net.Conn) error {
	if t, ok := from.(*upstream.Conn); ok {
		from = t.Conn // what had come with the answer was taken before
	}
	socket, ok := from.(syscall.Conn)
	if !ok {
		_, err := io.CopyBuffer(onlyWriter{to}, onlyReader{from}, make([]byte, tlsPiece))
		return err
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return err
	}
	for {
		var piece *[]byte
		n, failed := 0, error(nil)
		err := raw.Read(func(fd uintptr) bool {
			b := pieces.Get().(*[]byte)
			for {
				n, failed = unix.Read(int(fd), *b)
				if failed != unix.EINTR {
					break
				}
			}
			if failed == unix.EAGAIN {
				pieces.Put(b)
				return false
			}
			piece = b
			return true
		})
		switch {
		case err != nil:
			return err
		case failed != nil:
			pieces.Put(piece)
			return failed
		case n == 0:
			pieces.Put(piece)
			return nil
		}
		_, err = to.Write((*piece)[:n])
		pieces.Put(piece)
		if err != nil {
			return err
		}
	}
}

// onlyWriter and onlyReader hide what else a connection can: the system would copy with pipes that it holds while it waits.
type (
	onlyWriter struct{ io.Writer }
	onlyReader struct{ io.Reader }
)
