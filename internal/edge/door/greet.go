package door

import (
	"errors"
	"io"
	"net"

	"golang.org/x/net/http2"
	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/exchange"
)

// greet looks at how a connection begins, without taking more from it than a header of the PROXY protocol. h2c tells HTTP/2 from HTTP/1.
func (d *Doors) greet(c net.Conn, h2c bool) (net.Conn, error) {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		return nil, errors.New("no TCP connection")
	}
	if d.balancer(tcp) {
		e, err := takeProxy(tcp)
		if err != nil {
			d.Log.Warn("connection of a balancer is refused", "remote", tcp.RemoteAddr().String(), "error", err)
			return nil, err
		}
		if e.remote.IsValid() {
			c = &proxied{tcp, net.TCPAddrFromAddrPort(e.local), net.TCPAddrFromAddrPort(e.remote)}
		}
	}
	if !h2c {
		return c, nil
	}
	begins := false
	err := peek(tcp, make([]byte, len("PRI")), func(b []byte) bool { // no method of HTTP/1 begins like this
		begins = string(b) == http2.ClientPreface[:len(b)]
		return len(b) == len("PRI") || !begins
	})
	if begins && err == nil {
		return exchange.Speaks(http2.NextProtoTLS, c), nil
	}
	return c, err
}

// balancer tells whether a connection must begin with a header of the PROXY protocol.
func (d *Doors) balancer(c *net.TCPConn) bool {
	if len(d.balancers) == 0 {
		return false
	}
	a, ok := c.RemoteAddr().(*net.TCPAddr)
	return ok && d.balancers.Contains(a.AddrPort().Addr().Unmap())
}

// takeProxy reads the header and not one byte more.
func takeProxy(c *net.TCPConn) (ends, error) {
	var e ends
	var n int
	var err error
	failed := peek(c, make([]byte, maxProxy), func(b []byte) bool {
		e, n, err = parseProxy(b)
		return err != errShort || len(b) == maxProxy
	})
	if failed != nil {
		return ends{}, failed
	}
	if err != nil {
		return ends{}, errProxy
	}
	_, err = io.ReadFull(c, make([]byte, n))
	return e, err
}

// peek calls enough with what waits to be read, each time that more has come, until it is true. Nothing is read.
func peek(c *net.TCPConn, buffer []byte, enough func([]byte) bool) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		for {
			n, _, err := unix.Recvfrom(int(fd), buffer, unix.MSG_PEEK)
			switch {
			case err == unix.EINTR:
				continue
			case err == unix.EAGAIN:
				return false
			case err != nil:
				failed = err
			case enough(buffer[:n]):
			case n == 0:
				failed = io.EOF
			default:
				return false // told again when more comes, since Go asks for edges
			}
			return true
		}
	})
	return errors.Join(err, failed)
}
