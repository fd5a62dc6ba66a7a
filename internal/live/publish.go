package live

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/history"
)

const (
	readWait    = 10 * time.Second // longest read of a history for a client
	publishWait = 10 * time.Second // longest commit of a client's publication
)

// publish answers the command.
func (s *Session) publish(t *turn, id uint32, r *protocol.PublishRequest) error {
	if r.Channel == "" {
		return DisconnectBadRequest
	}
	n, name, err := s.live.options.Load().channel(r.Channel)
	switch {
	case err != nil:
		return err
	case n.source != nil || r.Type != 0:
		return ErrNotAvailable
	case len(r.Data) == 0:
		return ErrBadRequest
	case len(r.Data) > int(n.MaxPublication):
		return ErrLimitExceeded
	case !s.mayPublish(n):
		return ErrTooManyRequests
	}
	w := s.identity()
	if !name.Admits(w.user) {
		return ErrPermissionDenied
	}
	p := &protocol.Publication{Data: r.Data, Key: strings.Clone(r.Key), Info: s.info(s.subscription(r.Channel))}
	if s.live.handles("publish", r.Channel) {
		channel := strings.Clone(r.Channel)
		return s.later(id, func(t *turn) error {
			a, err := s.live.ask("publish", &channelRequest{Client: s.id.String(), User: w.user, Channel: channel, Data: jsonOnly(p.Data), Info: w.info, Claims: w.claims, Key: p.Key})
			if err != nil {
				return err
			}
			if len(a.Data) > 0 {
				p.Data = protocol.Raw(a.Data)
			}
			return s.send(t, id, n, channel, p)
		})
	}
	if !n.publish.allows(asking{w, s.id.String(), name}) {
		return ErrPermissionDenied
	}
	return s.send(t, id, n, r.Channel, p)
}

func (s *Session) send(t *turn, id uint32, n *namespace, channel string, p *protocol.Publication) error {
	ctx, cancel := context.WithTimeout(s.live.running, publishWait)
	defer cancel()
	if n.log != nil { // others wait for the commit, not for what this turn has already
		t.flush()
	}
	if _, err := s.live.store(ctx, n, channel, p, PublishOptions{}); err != nil {
		return err
	}
	t.reply(id, &protocol.Reply{Publish: &protocol.PublishResult{}})
	return nil
}

func (s *Session) subscription(channel string) *fanout.Subscription {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(channel)
}

// store publishes: durably where the channel has a history, else to those who are there.
func (l *Live) store(ctx context.Context, n *namespace, channel string, p *protocol.Publication, o PublishOptions) (PublishResult, error) {
	l.metrics.publications.Add(1)
	if n.log == nil || o.SkipHistory {
		if o.IdempotencyKey != "" && !l.keys.use(channel, o.IdempotencyKey, o.IdempotencyTTL) {
			return PublishResult{Skipped: true}, nil
		}
		l.hub.Publish(channel, &fanout.Item{Publication: p, At: l.now()})
		return PublishResult{}, nil
	}
	p.Time = time.Now().UnixMilli()
	at, stored, err := n.log.Publish(ctx, history.Publish{Channel: strings.Clone(channel), Publication: p, Idempotency: o.IdempotencyKey, IdempotencyTTL: o.IdempotencyTTL,
		Version: o.Version, VersionEpoch: o.VersionEpoch})
	if err != nil {
		l.metrics.unstored.Add(1)
		return PublishResult{}, err
	}
	return PublishResult{Offset: at.Offset, Epoch: at.Epoch, Skipped: !stored}, nil
}

// deliver brings the publications of a namespace with history to the subscribers, once they are committed.
func (l *Live) deliver(namespace string) func(string, *protocol.Publication) {
	return func(channel string, p *protocol.Publication) {
		item := &fanout.Item{Publication: p, At: l.now()}
		if n := l.options.Load().namespaces[namespace]; n != nil {
			item.Delta = n.Delta
		}
		if l.hub.Publish(channel, item) {
			return
		}
		// The channel skipped some: its subscribers read them from the history.
		if c := l.hub.Channel(channel); c != nil {
			l.resync(c)
		}
	}
}

// resync makes the clients of a channel that keep their place subscribe again.
func (l *Live) resync(c *fanout.Channel) {
	c.Each(func(sub *fanout.Subscription) bool {
		if sub.Flags()&fanout.Positioned != 0 {
			s := sub.Receiver.(*Session)
			s.mu.Lock()
			s.insufficient(sub)
			s.mu.Unlock()
		}
		return true
	})
}

// dismissAll ends all subscriptions of a channel.
func (l *Live) dismissAll(c *fanout.Channel, code uint32, reason string) {
	c.Each(func(sub *fanout.Subscription) bool {
		s := sub.Receiver.(*Session)
		s.mu.Lock()
		defer s.mu.Unlock()
		if sub.Flags()&fanout.Server != 0 && code >= unsubscribedState {
			s.endLocked(DisconnectInsufficientState)
		} else if !sub.Ended {
			s.dismiss(sub, code, reason)
		}
		return true
	})
}

// rpc has a function of the app answer the client.
func (s *Session) rpc(id uint32, r *protocol.RPCRequest) error {
	o := s.live.options.Load()
	if !o.rpc[r.Method] {
		return ErrMethodNotFound
	}
	if s.live.Authority == nil {
		return ErrNotAvailable
	}
	function, data := strings.Clone(r.Method), r.Data
	return s.later(id, func(t *turn) error {
		answer, err := s.live.Authority.Call(s.live.running, function, data, s.caller())
		if err != nil {
			return rpcFailure(err)
		}
		if !json.Valid(answer) {
			return ErrInternal
		}
		t.reply(id, &protocol.Reply{Rpc: &protocol.RPCResult{Data: answer}})
		return nil
	})
}

// caller is what a function is told of who calls it.
func (s *Session) caller() identity.Caller {
	w := s.identity()
	return identity.Caller{User: w.user, Method: w.method, Claims: string(w.claims), Client: s.id.String()}
}

// restart begins the offsets of a channel anew: its history was removed.
func (l *Live) restart(c *fanout.Channel) {
	c.Restart()
	l.resync(c)
}
