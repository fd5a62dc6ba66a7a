package door

import (
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// Sockets opens listening sockets, or takes them over from a process before this one.
type Sockets interface {
	Listen(network, address string) (net.Listener, error)
	ListenPacket(network, address string) (net.PacketConn, error)
}

// fresh opens new ones.
type fresh struct{}

func (fresh) Listen(network, address string) (net.Listener, error) {
	return net.Listen(network, address)
}
func (fresh) ListenPacket(network, address string) (net.PacketConn, error) {
	return net.ListenPacket(network, address)
}

// Listeners are the sockets of the doors.
type Listeners struct {
	Plain  net.Listener   // server.listen
	Secure net.Listener   // server.tls.listen; nil without TLS
	QUIC   net.PacketConn // for HTTP/3, at the port of Secure; nil without HTTP/3
}

// listen opens what is wanted: HR9004 if it cannot.
func (l *Listeners) listen(c *config.Server, s Sockets) (err error) {
	if l.Plain, err = s.Listen("tcp", c.Listen); err != nil {
		return cannot("server.listen", c.Listen, err)
	}
	if c.TLS == nil {
		return nil
	}
	for tries := 10; ; tries-- {
		if l.Secure, err = s.Listen("tcp", c.TLS.Listen); err != nil {
			return cannot("server.tls.listen", c.TLS.Listen, err)
		}
		if !c.TLS.HTTP3 {
			return nil
		}
		if l.QUIC, err = s.ListenPacket("udp", l.Secure.Addr().String()); err == nil {
			return nil
		}
		l.QUIC = nil
		if !strings.HasSuffix(c.TLS.Listen, ":0") || tries == 0 {
			return cannot("server.tls.listen", c.TLS.Listen+" (UDP)", err)
		}
		_ = l.Secure.Close() // the port is taken for UDP; another may not be
	}
}

func (l *Listeners) close() {
	if l.Plain != nil {
		_ = l.Plain.Close()
	}
	if l.Secure != nil {
		_ = l.Secure.Close()
	}
	if l.QUIC != nil {
		_ = l.QUIC.Close()
	}
}

func cannot(key, address string, err error) error {
	p := problem.New("HR9004", "cannot listen on %s: %w", address, err).At(key)
	if !errors.Is(err, syscall.EADDRINUSE) {
		p = p.Hinting("set %s to an address of this machine that it may use", key)
	}
	return p
}
