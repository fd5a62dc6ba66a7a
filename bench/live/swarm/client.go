package swarm

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"
)

// client is one connection. It has no buffer of its own but for a message that has arrived in part.
type client struct {
	slot   int32
	fd     int32
	seen   uint32 // the last publication
	state  state
	was    bool   // has been subscribed before
	stalls bool   // does not read once it is subscribed
	rest   []byte // the beginning of a message
}

type state uint8

const (
	away state = iota // not connected
	dialing
	upgrading
	joining // WebSocket is there, not yet subscribed
	ready
)

func (c *client) stalled() bool { return c.stalls && c.state == ready }

// session is what Socket.IO wants to be told of when a client comes back.
type session struct{ pid, offset string }

var errClosed = errors.New("the server closed the connection")

func (s *swarm) dial(c *client) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	c.fd, c.state = int32(fd), dialing
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	_ = unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	_ = unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}) // close resets: no port stays in TIME_WAIT
	if c.stalls {                                                                          // small buffers at both ends, as across a network: with the segments of loopback the sender's would be 2.6 MB
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4096)
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_MAXSEG, 1400)
	}
	if s.source.IsValid() {
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: s.source.As4()}); err != nil {
			return err
		}
	}
	event := unix.EpollEvent{Events: unix.EPOLLOUT, Fd: c.slot}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &event); err != nil {
		return err
	}
	err = unix.Connect(fd, &unix.SockaddrInet4{Addr: s.addr.Addr().As4(), Port: int(s.addr.Port())})
	if err != nil && err != unix.EINPROGRESS {
		return err
	}
	return nil
}

// handle does what epoll found to do. An error ends the connection.
func (s *swarm) handle(c *client) error {
	if c.state == away || c.stalled() { // an event from before the connection ended
		return nil
	}
	if c.state == dialing {
		return s.upgrade(c)
	}
	kept := copy(s.buffer, c.rest)
	n, err := unix.Read(int(c.fd), s.buffer[kept:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errClosed
	}
	s.now = Now()
	b, err := s.receive(c, s.buffer[:kept+n])
	if err != nil {
		return err
	}
	if c.rest = nil; len(b) > 0 {
		if len(b) == len(s.buffer) {
			return errHuge
		}
		c.rest = bytes.Clone(b)
	}
	return nil
}

// upgrade asks for a WebSocket.
func (s *swarm) upgrade(c *client) error {
	if code, err := unix.GetsockoptInt(int(c.fd), unix.SOL_SOCKET, unix.SO_ERROR); err != nil || code != 0 {
		return errors.Join(err, syscall.Errno(code))
	}
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: c.slot}
	if err := unix.EpollCtl(s.epoll, unix.EPOLL_CTL_MOD, int(c.fd), &event); err != nil {
		return err
	}
	path := s.plan.Path
	if s.plan.InQuery && s.plan.Secret != "" {
		path += "?token=" + s.token(c)
	}
	c.state = upgrading
	return s.write(c, fmt.Appendf(s.scratch[:0], "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", path, s.plan.Addr))
}

// receive handles all that has arrived and returns the beginning of what has not arrived whole.
func (s *swarm) receive(c *client, b []byte) ([]byte, error) {
	if c.state == upgrading {
		head, rest, whole := bytes.Cut(b, []byte("\r\n\r\n"))
		if !whole {
			return b, nil
		}
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) {
			return nil, fmt.Errorf("the server answered the handshake with %.300s", head)
		}
		c.state, b = joining, rest
		if hello := s.talk.hello(s, c); hello != "" {
			if err := s.say(c, hello); err != nil {
				return nil, err
			}
		}
	}
	for {
		opcode, payload, size, err := Next(b)
		if err != nil || size == 0 {
			return b, err
		}
		switch opcode {
		case opText:
			if err := s.talk.message(s, c, payload); err != nil {
				return nil, err
			}
		case opPing:
			if err := s.write(c, Frame(s.scratch[:0], opPong, payload)); err != nil {
				return nil, err
			}
		case opClose:
			return nil, fmt.Errorf("%w with %q", errClosed, payload)
		default:
			return nil, fmt.Errorf("%w: opcode %d", errFrame, opcode)
		}
		b = b[size:]
	}
}

// say sends a text message.
func (s *swarm) say(c *client, text string) error { return s.write(c, Text(s.scratch[:0], text)) }

// write sends at once or fails: clients say little.
func (s *swarm) write(c *client, b []byte) error {
	n, err := unix.Write(int(c.fd), b)
	if err == nil && n < len(b) {
		err = unix.EAGAIN
	}
	return err
}

// shut resets the connection.
func (s *swarm) shut(c *client) {
	if c.fd >= 0 {
		_ = unix.Close(int(c.fd))
	}
	if c.state == ready {
		s.joined--
	}
	c.fd, c.state, c.rest = -1, away, nil
}

// unread is how many bytes wait at a socket to be read.
func unread(fd int32) int {
	n, _ := unix.IoctlGetInt(int(fd), unix.SIOCINQ)
	return n
}

// address reads host:port of IPv4.
func address(text string) (netip.AddrPort, error) {
	addr, err := netip.ParseAddrPort(text)
	if err == nil && !addr.Addr().Is4() {
		err = fmt.Errorf("swarm: %s is no IPv4 address", text)
	}
	return addr, err
}
