package live

import (
	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
)

// refresh takes the next token of a connection.
func (s *Session) refresh(t *turn, id uint32, r *protocol.RefreshRequest) error {
	old := s.identity()
	if r.Token == "" || !old.refresh {
		return DisconnectBadRequest
	}
	w, err := s.verify(r.Token)
	if err != nil {
		return err
	}
	if w.who.user != old.user {
		return DisconnectInvalidToken
	}
	expires, ttl, expired := expiry(w.who.expires)
	if expired {
		return ErrExpired
	}
	s.become(w.who)
	t.reply(id, &protocol.Reply{Refresh: &protocol.RefreshResult{Client: s.id.String(), Version: version, Expires: expires, Ttl: ttl}})
	return nil
}

// become changes the identity of a connected client, whose user stays the same.
func (s *Session) become(w *who) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.who, s.endsAt = w, 0
	if w.expires != 0 {
		s.endsAt = s.live.tickAt(w.expires, s.live.options.Load().Ping)
	}
	s.wake()
}

// subRefresh takes the next token of a subscription.
func (s *Session) subRefresh(t *turn, id uint32, r *protocol.SubRefreshRequest) error {
	if r.Channel == "" {
		return DisconnectBadRequest
	}
	s.mu.Lock()
	sub := s.find(r.Channel)
	s.mu.Unlock()
	if sub == nil {
		return ErrPermissionDenied
	}
	if r.Token == "" || r.Type != 0 {
		return ErrBadRequest
	}
	a, err := s.verifySubscription(r.Channel, r.Token)
	if err != nil {
		return err
	}
	expires, ttl, _ := expiry(a.expires)
	s.mu.Lock()
	sub.Extra = &fanout.Extra{Info: a.info, Expires: a.expires, Client: true}
	if a.expires != 0 {
		s.expiresAt(s.live.tickAt(a.expires, s.live.options.Load().Ping))
		s.wake()
	}
	s.mu.Unlock()
	t.reply(id, &protocol.Reply{SubRefresh: &protocol.SubRefreshResult{Expires: expires, Ttl: ttl}})
	return nil
}
