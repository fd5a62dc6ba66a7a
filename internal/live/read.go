package live

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/park"
	"github.com/headrace/headrace/internal/websocket"
)

// take has the connection of the request for the session: it answers with head and handles what came along.
func (s *Session) take(r *exchange.Request, head []byte, begin first) {
	r.HijackSetNoResponse(true)
	r.Hijack(func(c net.Conn) {
		early := buffered(c)
		s.settle(exchange.Keep(c), early, head, begin)
	})
}

// settle has the connection watched and handles what came along.
func (s *Session) settle(c net.Conn, early, head []byte, begin first) {
	s.mu.Lock() // what arrives meanwhile waits
	conn, err := s.live.park.Park(c, early, s)
	if err != nil {
		s.mu.Unlock()
		s.live.Log.Warn("connection cannot be kept", "error", err)
		s.lost(c)
		_ = c.Close()
		return
	}
	s.conn = conn
	_ = conn.Write(head)
	if len(begin.channels)+len(begin.since) > 0 {
		m := s.extra()
		m.wanted, m.since = begin.channels, begin.since
	}
	s.pingAt = s.live.tick() + ticks(s.live.options.Load().AuthTimeout)
	s.wake()
	s.mu.Unlock()
	if s.live.stopping.Load() {
		s.end(DisconnectShutdown)
	}
	s.begin(begin)
}

// lost forgets a session that has no connection.
func (s *Session) lost(c net.Conn) {
	address := netip.Addr{}
	if at, err := netip.ParseAddrPort(c.RemoteAddr().String()); err == nil {
		address = at.Addr().Unmap()
	}
	s.live.registry.remove(s, address, "")
}

// begin handles what came with the handshake.
func (s *Session) begin(b first) {
	if len(b.message) == 0 && b.request == nil {
		return
	}
	m := func() *more { s.mu.Lock(); defer s.mu.Unlock(); return s.extra() }()
	m.commands.Lock()
	defer m.commands.Unlock()
	t := &turn{s: s}
	if b.request != nil {
		s.connectUni(t, b.request)
	} else {
		s.handle(t, b.message)
	}
	t.flush()
}

// buffered is what was read from the connection already.
func buffered(c net.Conn) (early []byte) {
	_ = c.SetReadDeadline(time.Unix(1, 0)) // bytes that were read already are given nevertheless
	var b [512]byte
	for {
		n, err := c.Read(b[:])
		early = append(early, b[:n]...)
		if err != nil || n == 0 {
			_ = c.SetDeadline(time.Time{})
			return early
		}
	}
}

// Read handles what arrives.
func (s *Session) Read(_ *park.Conn, b []byte) int {
	s.mu.Lock()
	ended := s.state == over
	s.mu.Unlock()
	if ended || !s.format.WebSocket() {
		return len(b)
	}
	t := &turn{s: s}
	defer t.flush()
	used := 0
	for !ended {
		m, n, err := s.reader.Next(b[used:])
		used += n
		if err != nil {
			e := &websocket.Error{Code: websocket.ProtocolError}
			_ = errors.As(err, &e)
			t.flush()
			s.end(&Disconnect{uint32(e.Code), e.Reason})
			return len(b)
		}
		switch m.Op {
		case websocket.Continuation:
			return used
		case websocket.Text, websocket.Binary:
			s.handle(t, m.Data)
		case websocket.Ping:
			s.mu.Lock()
			s.write(websocket.AppendFrame(nil, websocket.Pong, m.Data))
			s.mu.Unlock()
		case websocket.Pong:
			s.mu.Lock()
			if s.frames {
				s.pongBy = 0
			}
			s.mu.Unlock()
		case websocket.Close:
			t.flush()
			s.closeBack(m.Code)
		}
		s.mu.Lock()
		ended = s.state == over
		s.mu.Unlock()
	}
	return len(b)
}

// closeBack answers a close frame.
func (s *Session) closeBack(code websocket.Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == over {
		return
	}
	s.state = over
	if !s.blocked {
		_ = s.conn.Write(websocket.AppendClose(nil, code, ""))
	}
	s.conn.Close(nil)
}

// Closed is the end of the connection.
func (s *Session) Closed(*park.Conn, error) {
	s.leaveAll()
}
