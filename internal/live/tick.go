package live

import (
	"math/rand/v2"
	"time"

	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/wire"
	"github.com/headrace/headrace/internal/park"
	"github.com/headrace/headrace/internal/websocket"
)

const resolution = 100 * time.Millisecond // of the times of a session

// tick is the time in ticks since the plane was opened; it is never 0.
func (l *Live) tick() uint32 { return uint32(time.Since(l.opened)/resolution) + 1 }

func ticks(d time.Duration) uint32 { return uint32(max(1, (d+resolution-1)/resolution)) }

// tickAt is the tick of a Unix time, and a grace after it.
func (l *Live) tickAt(unix int64, grace time.Duration) uint32 {
	d := time.Until(time.Unix(unix, 0)) + grace
	if d > 365*24*time.Hour {
		return 0
	}
	return l.tick() + ticks(max(d, 0))
}

// wake asks for the next Tick. It is called with s.mu held.
func (s *Session) wake() {
	next := uint32(0)
	for _, at := range [...]uint32{s.pingAt, s.pongBy, s.endsAt, s.subsAt} {
		if at != 0 && (next == 0 || at < next) {
			next = at
		}
	}
	if next != 0 {
		s.conn.Wake(time.Duration(max(1, int64(next)-int64(s.live.tick()))) * resolution)
	}
}

// greet starts the pings of a client that has just connected. The first comes early at random, so that clients that came together are not
// pinged together. It is called with s.mu held.
func (s *Session) greet() {
	ping := s.live.options.Load().Ping
	s.pingAt = s.live.tick() + ticks(ping/2+rand.N(ping/2+1))
	s.wake()
}

// Tick does what is due.
func (s *Session) Tick(*park.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == over {
		return
	}
	o, now := s.live.options.Load(), s.live.tick()
	due := func(at uint32) bool { return at != 0 && at <= now }
	switch {
	case s.state < connected || s.state == refused:
		if due(s.pingAt) {
			s.endLocked(DisconnectStale)
			return
		}
	case due(s.pongBy):
		s.endLocked(DisconnectNoPong)
		return
	case due(s.endsAt):
		s.endLocked(DisconnectExpired)
		return
	}
	if due(s.subsAt) {
		s.expireSubs()
	}
	if s.state == connected && due(s.pingAt) {
		if s.blocked && s.stuck { // nothing moved for the length of a ping
			s.endLocked(DisconnectSlow)
			return
		}
		s.stuck = s.blocked
		if s.frames {
			s.write(framePing)
		} else {
			s.write(pings[s.format])
		}
		if !s.uni() || s.frames {
			s.pinged = !s.frames
			s.pongBy = now + ticks(o.Pong)
		}
		s.pingAt = now + ticks(o.Ping)
		if s.transport == transportWebSocket {
			s.conn.Doze(longestPong)
			s.conn.Wake(resolution) // to read it
			return
		}
	}
	s.wake()
}

// longestPong is the size of a pong's frame, which need not be read at once: that of JSON is {}.
const longestPong = 8

var framePing = websocket.AppendFrame(nil, websocket.Ping, nil)

var pings = func() (all [wire.Formats][]byte) {
	for f := range all {
		all[f] = wire.Format(f).Ping()
	}
	return all
}()

// expireSubs ends the subscriptions whose time is over. It is called with s.mu held.
func (s *Session) expireSubs() {
	s.subsAt = 0
	grace := s.live.options.Load().Ping
	for _, sub := range append([]*fanout.Subscription(nil), s.subs...) {
		if sub.Extra == nil || sub.Extra.Expires == 0 {
			continue
		}
		at := s.live.tickAt(sub.Extra.Expires, grace)
		switch {
		case time.Until(time.Unix(sub.Extra.Expires, 0))+grace > 0:
			s.expiresAt(at)
		case sub.Flags()&fanout.Server != 0:
			s.endLocked(DisconnectSubExpired)
			return
		default:
			s.dismiss(sub, unsubscribedExpired, reasonExpired)
		}
	}
}

// expiresAt notes when a subscription ends. It is called with s.mu held.
func (s *Session) expiresAt(at uint32) {
	if at != 0 && (s.subsAt == 0 || at < s.subsAt) {
		s.subsAt = at
	}
}
