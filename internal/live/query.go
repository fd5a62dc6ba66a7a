package live

import (
	"context"
	"errors"
	"net/http"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/problem"
)

// rpcFailure is what a client is told of a problem. What went wrong inside is not told.
func rpcFailure(err error) error {
	var f *Failure
	var d *Disconnect
	switch { // the function found the words
	case errors.As(err, &f):
		return f
	case errors.As(err, &d):
		return d
	}
	p := problem.From(err)
	switch status := p.Status(); {
	case p.Code == "HR2020": // whatever its status is, the function found the words
		return &Failure{Code: ErrBadRequest.Code, Message: p.What}
	case status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests:
		return ErrTooManyRequests
	case status == http.StatusNotFound:
		return ErrMethodNotFound
	case status >= 400 && status < 500:
		return &Failure{Code: ErrBadRequest.Code, Message: p.What}
	default:
		return ErrInternal
	}
}

// may tells whether the client passes a rule of a channel's namespace, and which namespace it is.
func (s *Session) may(channel string, of func(*namespace) *rule) (*namespace, error) {
	if channel == "" {
		return nil, DisconnectBadRequest
	}
	n, name, err := s.live.options.Load().channel(channel)
	if err != nil {
		return nil, err
	}
	w := s.identity()
	if !name.Admits(w.user) {
		return nil, ErrPermissionDenied
	}
	if !of(n).allows(asking{w, s.id.String(), name}) {
		return nil, ErrPermissionDenied
	}
	return n, nil
}

func (s *Session) presence(t *turn, id uint32, r *protocol.PresenceRequest) error {
	n, err := s.may(r.Channel, func(n *namespace) *rule { return n.seePresence })
	if err != nil {
		return err
	}
	if !n.Presence {
		return ErrNotAvailable
	}
	t.reply(id, &protocol.Reply{Presence: &protocol.PresenceResult{Presence: s.live.present(r.Channel)}})
	return nil
}

func (s *Session) presenceStats(t *turn, id uint32, r *protocol.PresenceStatsRequest) error {
	n, err := s.may(r.Channel, func(n *namespace) *rule { return n.seePresence })
	if err != nil {
		return err
	}
	if !n.Presence {
		return ErrNotAvailable
	}
	clients, users := s.live.crowd(r.Channel)
	t.reply(id, &protocol.Reply{PresenceStats: &protocol.PresenceStatsResult{NumClients: uint32(clients), NumUsers: uint32(users)}})
	return nil
}

// present is who is in a channel, by client. Presence is not stored: it is what the subscriptions are.
func (l *Live) present(channel string) map[string]*protocol.ClientInfo {
	all := map[string]*protocol.ClientInfo{}
	if c := l.hub.Channel(channel); c != nil {
		c.Each(func(sub *fanout.Subscription) bool {
			if sub.Flags()&fanout.Present != 0 {
				info := sub.Receiver.(*Session).info(sub)
				all[info.Client] = info
			}
			return true
		})
	}
	return all
}

// crowd counts who is in a channel.
func (l *Live) crowd(channel string) (clients, users int) {
	names := map[string]struct{}{}
	if c := l.hub.Channel(channel); c != nil {
		c.Each(func(sub *fanout.Subscription) bool {
			if sub.Flags()&fanout.Present != 0 {
				clients++
				names[sub.Receiver.(*Session).identity().user] = struct{}{}
			}
			return true
		})
	}
	return clients, len(names)
}

func (s *Session) history(t *turn, id uint32, r *protocol.HistoryRequest) error {
	n, err := s.may(r.Channel, func(n *namespace) *rule { return n.seeHistory })
	if err != nil {
		return err
	}
	if n.log == nil {
		return ErrNotAvailable
	}
	f := history.Filter{Limit: int(r.Limit), Reverse: r.Reverse}
	if most := s.live.options.Load().MaxHistory; f.Limit < 0 || f.Limit > most {
		f.Limit = most
	}
	if r.Since != nil {
		if r.Reverse && r.Since.Offset == 0 {
			return ErrBadRequest
		}
		f.Since = &history.Position{Offset: r.Since.Offset, Epoch: r.Since.Epoch}
	}
	ctx, cancel := context.WithTimeout(s.live.running, readWait)
	defer cancel()
	publications, top, err := n.log.Read(ctx, r.Channel, f)
	if errors.Is(err, history.ErrGone) {
		return ErrUnrecoverable
	}
	if err != nil {
		return err
	}
	t.reply(id, &protocol.Reply{History: &protocol.HistoryResult{Publications: publications, Offset: top.Offset, Epoch: top.Epoch}})
	return nil
}
