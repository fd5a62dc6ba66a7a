package exchange

import (
	"context"
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Gone tells whether the client has closed its side of the connection of a request, or given up its stream of HTTP/2 or HTTP/3. It looks
// without reading, so it must not be asked while somebody else reads. Connections that are no sockets are never gone.
func Gone(c net.Conn) bool {
	switch c := c.(type) {
	case interface{ gone() bool }:
		return c.gone()
	case interface{ NetConn() net.Conn }: // TLS
		return hungUp(c.NetConn())
	}
	socket, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return true
	}
	closed := false
	err = raw.Control(func(fd uintptr) {
		var one [1]byte
		n, _, err := unix.Recvfrom(int(fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
		closed = n == 0 && err == nil || err != nil && err != unix.EAGAIN && err != unix.EINTR
	})
	return closed || err != nil
}

// WatchClient calls f if the client goes away before the function that it returns is called.
func (r *Request) WatchClient(f func()) (stop func()) {
	if r.Standard != nil {
		stop := context.AfterFunc(r.Standard.Request.Context(), f)
		return func() { stop() }
	}
	conn, ended := r.Conn(), make(chan struct{})
	go func() {
		look := time.NewTicker(time.Second)
		defer look.Stop()
		for {
			select {
			case <-ended:
				return
			case <-look.C:
				if Gone(conn) {
					f()
					return
				}
			}
		}
	}()
	return func() { close(ended) }
}
