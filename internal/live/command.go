package live

import (
	"net/netip"
	"time"

	"github.com/centrifugal/protocol"
)

// verb is a kind of command.
type verb uint8

const (
	verbConnect verb = iota
	verbSubscribe
	verbUnsubscribe
	verbPublish
	verbPresence
	verbPresenceStats
	verbHistory
	verbRPC
	verbRefresh
	verbSubRefresh
	verbSend
	verbPong
	verbs // how many there are
)

var verbNames = [verbs]string{"connect", "subscribe", "unsubscribe", "publish", "presence", "presence_stats", "history", "rpc", "refresh",
	"sub_refresh", "send", "pong"}

// handle answers the commands of a message. Calls for one session do not overlap.
func (s *Session) handle(t *turn, frame []byte) {
	if s.uni() {
		s.handleUni(t, frame)
		return
	}
	d := protocol.GetCommandDecoder(s.format.Type(), frame)
	defer protocol.PutCommandDecoder(s.format.Type(), d)
	for {
		c, err := d.Decode() // the last command of a frame comes with io.EOF
		if c == nil {
			t.fail(0, DisconnectBadRequest)
			return
		}
		if !s.command(t, c) || err != nil {
			return
		}
	}
}

// command answers one command; false if the connection is over.
func (s *Session) command(t *turn, c *protocol.Command) bool {
	err := s.dispatch(t, c)
	if err != nil {
		t.fail(c.Id, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state != over
}

func (s *Session) dispatch(t *turn, c *protocol.Command) error {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if state != fresh && state != connected || (state == connected) == (c.Connect != nil) {
		return DisconnectBadRequest
	}
	if c.Id == 0 && c.Send == nil {
		return s.pong(c)
	}
	v := verbOf(c)
	if v == verbs {
		return DisconnectBadRequest
	}
	s.live.metrics.commands[v].Add(1)
	if !s.allowed() || (v == verbPublish || v == verbRPC) && !s.counted() {
		return ErrTooManyRequests
	}
	switch v {
	case verbConnect:
		return s.connect(t, c.Id, c.Connect)
	case verbSubscribe:
		return s.subscribe(t, c.Id, c.Subscribe)
	case verbUnsubscribe:
		return s.unsubscribe(t, c.Id, c.Unsubscribe)
	case verbPublish:
		return s.publish(t, c.Id, c.Publish)
	case verbPresence:
		return s.presence(t, c.Id, c.Presence)
	case verbPresenceStats:
		return s.presenceStats(t, c.Id, c.PresenceStats)
	case verbHistory:
		return s.history(t, c.Id, c.History)
	case verbRPC:
		return s.rpc(c.Id, c.Rpc)
	case verbRefresh:
		return s.refresh(t, c.Id, c.Refresh)
	case verbSubRefresh:
		return s.subRefresh(t, c.Id, c.SubRefresh)
	default: // nobody takes messages without an answer
		return DisconnectNotAvailable
	}
}

func verbOf(c *protocol.Command) verb {
	switch {
	case c.Connect != nil:
		return verbConnect
	case c.Subscribe != nil:
		return verbSubscribe
	case c.Unsubscribe != nil:
		return verbUnsubscribe
	case c.Publish != nil:
		return verbPublish
	case c.Presence != nil:
		return verbPresence
	case c.PresenceStats != nil:
		return verbPresenceStats
	case c.History != nil:
		return verbHistory
	case c.Rpc != nil:
		return verbRPC
	case c.Refresh != nil:
		return verbRefresh
	case c.SubRefresh != nil:
		return verbSubRefresh
	case c.Send != nil:
		return verbSend
	}
	return verbs
}

// pong is an empty command, the answer to a ping.
func (s *Session) pong(c *protocol.Command) error {
	s.live.metrics.commands[verbPong].Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.pinged || verbOf(c) != verbs {
		return DisconnectBadRequest
	}
	s.pinged, s.pongBy = false, 0
	return nil
}

// allowed counts a command against the connection's limit.
func (s *Session) allowed() bool {
	most := float32(s.live.options.Load().CommandsPerSecond)
	if most == 0 {
		return true
	}
	now := s.live.tick()
	s.spent = max(0, s.spent-most*float32(now-s.spentAt)*float32(resolution)/float32(time.Second))
	s.spentAt = now
	if s.spent+1 > most {
		return false
	}
	s.spent++
	return true
}

// Limiter counts commands of all connections, together with what else it counts.
type Limiter interface {
	// Take is false if one more of this user, with the API key of this id, from this address is too many. It may take a tenth of a second.
	Take(user, key string, client netip.Addr) bool
}

// counted counts a command against the limits of all connections.
func (s *Session) counted() bool {
	limits := s.live.options.Load().counted
	if limits == nil {
		return true
	}
	s.mu.Lock()
	w, client := s.who, s.conn.Remote().Addr()
	if s.more != nil && s.more.client.IsValid() {
		client = s.more.client
	}
	s.mu.Unlock()
	return limits.Take(w.user, w.key, client)
}

// bucket counts the publications of a connection in a namespace.
type bucket struct {
	spent float32
	at    uint32
}

func (s *Session) mayPublish(n *namespace) bool {
	if n.PublicationsPerSecond == 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.extra()
	if m.buckets == nil {
		m.buckets = map[string]*bucket{}
	}
	b := m.buckets[n.name]
	if b == nil {
		b = &bucket{}
		m.buckets[n.name] = b
	}
	now, most := s.live.tick(), float32(n.PublicationsPerSecond)
	b.spent = max(0, b.spent-most*float32(now-b.at)*float32(resolution)/float32(time.Second))
	b.at = now
	if b.spent+1 > most {
		return false
	}
	b.spent++
	return true
}
