package door

import (
	"errors"
	"net"
	"strings"
	"syscall"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// Listeners are the sockets of the doors. Those that are nil are opened where the configuration wants them.
type Listeners struct {
	Plain  net.Listener   // server.listen
	Secure net.Listener   // server.tls.listen
	QUIC   net.PacketConn // for HTTP/3; its port is that of Secure
}

// listen opens what is wanted and not there: HR9004 if it cannot.
func (l *Listeners) listen(c *config.Server) (err error) {
	if l.Plain == nil {
		if l.Plain, err = listenTCP("server.listen", c.Listen); err != nil {
			return err
		}
	}
	if c.TLS == nil {
		return nil
	}
	anyPort := strings.HasSuffix(c.TLS.Listen, ":0") && l.Secure == nil
	for tries := 10; ; tries-- {
		if l.Secure == nil {
			if l.Secure, err = listenTCP("server.tls.listen", c.TLS.Listen); err != nil {
				return err
			}
		}
		if !c.TLS.HTTP3 || l.QUIC != nil {
			return nil
		}
		at := l.Secure.Addr().(*net.TCPAddr)
		if l.QUIC, err = net.ListenUDP("udp", &net.UDPAddr{IP: at.IP, Port: at.Port, Zone: at.Zone}); err == nil {
			return nil
		}
		l.QUIC = nil
		if !anyPort || tries == 0 {
			return cannot("server.tls.listen", c.TLS.Listen+" (UDP)", err)
		}
		_ = l.Secure.Close() // the port is taken for UDP; another may not be
		l.Secure = nil
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

func listenTCP(key, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, cannot(key, address, err)
	}
	return l, nil
}

func cannot(key, address string, err error) error {
	p := problem.New("HR9004", "cannot listen on %s: %w", address, err).At(key)
	if !errors.Is(err, syscall.EADDRINUSE) {
		p = p.Hinting("set %s to an address of this machine that it may use", key)
	}
	return p
}
