package live

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live/channel"
	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/history"
)

// admission is what a subscription is granted with.
type admission struct {
	info, data []byte
	expires    int64 // Unix seconds; 0 is never
	refresh    bool  // the client brings the next token
	server     bool  // the client did not ask for it
}

// subscriptionClaims are those of Centrifugo's subscription tokens.
type subscriptionClaims struct {
	Channel  string          `json:"channel"`
	Info     json.RawMessage `json:"info"`
	B64Info  string          `json:"b64info"`
	ExpireAt *int64          `json:"expire_at"`
}

const rejectUnrecovered = 1 << 1 // flag of a subscribe request

// subscribe answers the command; of a one-way client it has the id 0.
func (s *Session) subscribe(t *turn, id uint32, r *protocol.SubscribeRequest) error {
	o := s.live.options.Load()
	if r.Channel == "" || r.Delta != "" && r.Delta != "fossil" || r.Type != 0 || r.Tf != nil {
		if r.Channel == "" {
			return DisconnectBadRequest
		}
		return ErrBadRequest
	}
	n, name, err := o.channel(r.Channel)
	if err != nil {
		return err
	}
	s.mu.Lock()
	switch {
	case s.find(r.Channel) != nil || s.isJoining(r.Channel):
		err = ErrAlreadySubscribed
	case len(s.subs)+s.joins() >= o.MaxChannels:
		err = ErrLimitExceeded
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	if n.source != nil {
		if err := n.source.Allow(name.ID, r.Token); err != nil {
			var f *Failure
			if errors.As(err, &f) {
				return f
			}
			return ErrPermissionDenied
		}
		return s.admit(t, id, n, admission{}, r)
	}
	w := s.identity()
	if !name.Admits(w.user) {
		return ErrPermissionDenied
	}
	if r.Token != "" {
		a, err := s.verifySubscription(r.Channel, r.Token)
		if err != nil {
			return err
		}
		return s.admit(t, id, n, a, r)
	}
	if n.SubscriptionToken {
		return ErrPermissionDenied
	}
	if s.live.handles("subscribe", r.Channel) {
		return s.askSubscribe(id, n, r)
	}
	if !n.subscribe.allows(asking{w, s.id.String(), name}) {
		return ErrPermissionDenied
	}
	return s.admit(t, id, n, admission{}, r)
}

// channel is the namespace of a channel that a client names, and its name taken apart.
func (o *options) channel(name string) (*namespace, channel.Name, error) {
	if len(name) > o.MaxChannelLength {
		return nil, channel.Name{}, ErrLimitExceeded
	}
	parsed, err := channel.Parse(name, o.MaxChannelLength)
	if err != nil {
		return nil, parsed, ErrBadRequest
	}
	n := o.namespaces[parsed.Namespace]
	if n == nil {
		return nil, parsed, ErrUnknownChannel
	}
	return n, parsed, nil
}

func (s *Session) verifySubscription(channel, token string) (a admission, err error) {
	v := s.live.options.Load().subscriptionTokens
	if v == nil {
		return a, ErrPermissionDenied
	}
	claims, err := v.Verify(token)
	if errors.Is(err, identity.ErrExpired) {
		return a, ErrTokenExpired
	}
	if errors.Is(err, identity.ErrUnread) {
		return a, ErrInternal // temporary: the token may be right
	}
	var c subscriptionClaims
	if err != nil || claims.Decode(&c) != nil || c.Channel != channel || claims.Subject != s.identity().user {
		return a, ErrPermissionDenied
	}
	a.refresh = true
	if !claims.Expires.IsZero() {
		a.expires = claims.Expires.Unix()
	}
	if c.ExpireAt != nil {
		a.expires = max(*c.ExpireAt, 0)
	}
	if a.info, err = either(c.Info, c.B64Info); err != nil {
		return a, ErrPermissionDenied
	}
	if _, _, expired := expiry(a.expires); expired {
		return a, ErrExpired
	}
	return a, nil
}

// askSubscribe lets the app's function decide.
func (s *Session) askSubscribe(id uint32, n *namespace, r *protocol.SubscribeRequest) error {
	w := s.identity()
	r = &protocol.SubscribeRequest{Channel: strings.Clone(r.Channel), Recover: r.Recover, Epoch: strings.Clone(r.Epoch), Offset: r.Offset, Data: r.Data,
		Positioned: r.Positioned, Recoverable: r.Recoverable, JoinLeave: r.JoinLeave, Delta: strings.Clone(r.Delta), Flag: r.Flag}
	j := &joining{channel: r.Channel}
	s.mu.Lock()
	s.extra().joining = append(s.more.joining, j)
	s.mu.Unlock()
	err := s.later(id, func(t *turn) error {
		defer s.joined(j)
		a, err := s.live.ask("subscribe", &channelRequest{Client: s.id.String(), User: w.user, Channel: r.Channel, Data: jsonOnly(r.Data), Info: w.info, Claims: w.claims})
		if err != nil {
			return err
		}
		s.mu.Lock()
		cancelled := j.cancelled
		s.mu.Unlock()
		if cancelled {
			return ErrNotAvailable
		}
		return s.admit(t, id, n, admission{info: a.Info, data: a.Data, expires: a.ExpireAt}, r)
	})
	if err != nil {
		s.joined(j)
	}
	return err
}

func (s *Session) joined(j *joining) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.more.joining = slices.DeleteFunc(s.more.joining, func(other *joining) bool { return other == j })
}

// isJoining tells whether a channel is being asked for. It is called with s.mu held, like joins.
func (s *Session) isJoining(channel string) bool {
	return s.more != nil && slices.ContainsFunc(s.more.joining, func(j *joining) bool { return j.channel == channel && !j.cancelled })
}

func (s *Session) joins() int {
	if s.more == nil {
		return 0
	}
	return len(s.more.joining)
}

// admit makes a subscription that the client asked for and tells it.
func (s *Session) admit(t *turn, id uint32, n *namespace, a admission, r *protocol.SubscribeRequest) error {
	result, err := s.join(t, n, r.Channel, a, r)
	if err != nil {
		return err
	}
	if id != 0 {
		t.reply(id, &protocol.Reply{Subscribe: result})
		return nil
	}
	s.mu.Lock()
	s.welcomed(r.Channel, result)
	s.mu.Unlock()
	return nil
}

// join subscribes the client. From the moment the channel has it nothing is lost: what the channel sends is held back until the turn has written
// the result, and what the result tells already is taken out by its offset.
func (s *Session) join(t *turn, n *namespace, channel string, a admission, r *protocol.SubscribeRequest) (*protocol.SubscribeResult, error) {
	flags := shown(n)
	if a.server || s.uni() {
		flags |= fanout.Server
	}
	if n.JoinLeave && (r.JoinLeave || flags&fanout.Server != 0) {
		flags |= fanout.JoinLeave
	}
	result := &protocol.SubscribeResult{Data: a.data}
	if n.positions() {
		result.Positioned = n.Positioned
		result.Recoverable = n.Recovery != "none"
		if result.Positioned || result.Recoverable {
			flags |= fanout.Positioned
		}
		if n.Delta && r.Delta == "fossil" && n.log != nil {
			flags |= fanout.Delta
			result.Delta = true
		}
	}
	var extra *fanout.Extra
	if a.expires != 0 || len(a.info) > 0 {
		extra = &fanout.Extra{Info: a.info, Expires: a.expires, Client: a.refresh}
	}
	if expires, ttl, expired := expiry(a.expires); expired {
		return nil, ErrExpired
	} else if expires && a.refresh {
		result.Expires, result.Ttl = true, ttl
	}
	t.cork()
	sub, err := s.live.hub.Subscribe(channel, s, flags, extra, n.MaxSubscribers)
	if err != nil {
		return nil, ErrLimitExceeded
	}
	s.mu.Lock()
	if s.state == over || s.find(channel) != nil {
		err = ErrAlreadySubscribed
		if s.state == over {
			err = DisconnectClosed
		}
		s.mu.Unlock()
		s.live.hub.Unsubscribe(sub)
		return nil, err
	}
	s.subs = append(s.subs, sub)
	if a.expires != 0 {
		s.expiresAt(s.live.tickAt(a.expires, s.live.options.Load().Ping))
		s.wake()
	}
	s.mu.Unlock()
	if n.positions() {
		if err := s.catchUp(n, sub, r, result); err != nil {
			s.quit(sub)
			return nil, err
		}
	}
	if flags&fanout.Announced != 0 {
		s.live.announce(fanout.Join, sub)
	}
	return result, nil
}

// quit takes back a subscription that was not told yet.
func (s *Session) quit(sub *fanout.Subscription) {
	s.mu.Lock()
	mine := s.remove(sub)
	sub.Ended = true
	s.forget(sub, ^uint64(0))
	s.mu.Unlock()
	if mine && s.live.hub.Unsubscribe(sub) {
		s.live.feeds.release(sub.Channel.Name)
	}
}

// forget takes publications up to an offset out of what waits. It is called with s.mu held.
func (s *Session) forget(sub *fanout.Subscription, offset uint64) {
	if s.out == nil {
		return
	}
	before := s.out.size
	s.out.remove(func(l *letter) bool {
		return l.sub == sub && (l.offset != 0 || offset == ^uint64(0)) && l.offset <= offset
	})
	s.live.metrics.queued.Add(int64(s.out.size - before))
}

// catchUp reads what the client missed, or where the channel is.
func (s *Session) catchUp(n *namespace, sub *fanout.Subscription, r *protocol.SubscribeRequest, result *protocol.SubscribeResult) error {
	read, err := s.live.missed(n, sub.Channel.Name, r)
	if err != nil {
		s.live.Log.Warn("history cannot be read", "channel", sub.Channel.Name, "error", err)
		return ErrInternal
	}
	if r.Recover && !read.recovered && r.Flag&rejectUnrecovered != 0 {
		return ErrUnrecoverable
	}
	result.Epoch, result.Offset = read.top.Epoch, read.top.Offset
	result.WasRecovering, result.Recovered = r.Recover && n.Recovery != "none", read.recovered
	if read.recovered {
		result.Offset = r.Offset
	}
	result.Publications = read.publications
	if n.source != nil && !read.recovered {
		result.Offset = read.top.Offset - uint64(len(read.publications))
	}
	if result.WasRecovering {
		s.live.metrics.recovered(read.recovered, len(read.publications))
	}
	based := false
	if result.Delta && len(read.publications) > 0 {
		based = true
		result.Publications = make([]*protocol.Publication, len(read.publications))
		var previous []byte
		for i, p := range read.publications {
			result.Publications[i] = fanout.Differ(s.format, previous, p)
			previous = p.Data
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sub.Ended { // more came meanwhile than can wait
		return DisconnectInsufficientState
	}
	sub.Told(read.top.Offset, based)
	s.begins(sub, result.Epoch, result.Offset)
	s.forget(sub, read.top.Offset)
	return nil
}

// reading is what was read for a client that subscribes.
type reading struct {
	publications []*protocol.Publication
	top          history.Position
	recovered    bool
}

// missed reads what a client that subscribes is to be told.
func (l *Live) missed(n *namespace, channel string, r *protocol.SubscribeRequest) (reading, error) {
	ctx, cancel := context.WithTimeout(l.running, readWait)
	defer cancel()
	var got reading
	var err error
	if n.source != nil {
		since := uint64(0)
		if r.Recover {
			since = r.Offset
		}
		_, id, _ := strings.Cut(channel, ":")
		got.publications, got.top, err = n.source.Read(ctx, id, since)
		got.recovered = r.Recover && (r.Epoch == "" || r.Epoch == got.top.Epoch) && since <= got.top.Offset
		if err == nil {
			l.feeds.follow(n.source, channel, id, got.top.Offset)
		}
		return got, err
	}
	if !r.Recover || n.Recovery == "none" {
		got.top, err = n.log.Top(ctx, channel)
		return got, err
	}
	if n.Recovery == "cache" {
		got.publications, got.top, err = n.log.Read(ctx, channel, history.Filter{Limit: 1, Reverse: true})
		same := r.Offset > 0 && r.Offset == got.top.Offset && r.Epoch == got.top.Epoch
		switch {
		case same:
			got.publications, got.recovered = nil, true
		case len(got.publications) == 1 && got.publications[0].Offset == got.top.Offset:
			got.recovered = true
		default:
			got.publications = nil
		}
		return got, err
	}
	since := &history.Position{Offset: r.Offset, Epoch: r.Epoch}
	if since.Epoch == "" { // a client that never saw the epoch
		if got.top, err = n.log.Top(ctx, channel); err != nil {
			return got, err
		}
		since.Epoch = got.top.Epoch
	}
	got.publications, got.top, err = n.log.Read(ctx, channel, history.Filter{Since: since, Limit: l.options.Load().MaxRecovery})
	if errors.Is(err, history.ErrGone) || err == nil && since.Offset+uint64(len(got.publications)) < got.top.Offset {
		got.publications = nil
		return got, nil
	}
	got.recovered = err == nil
	return got, err
}

// unsubscribe answers the command.
func (s *Session) unsubscribe(t *turn, id uint32, r *protocol.UnsubscribeRequest) error {
	if r.Channel == "" {
		return DisconnectBadRequest
	}
	s.mu.Lock()
	sub := s.find(r.Channel)
	if sub != nil {
		sub.Ended = true
		s.remove(sub)
		s.forget(sub, ^uint64(0))
	} else if s.more != nil {
		for _, j := range s.more.joining {
			j.cancelled = j.cancelled || j.channel == r.Channel
		}
	}
	s.mu.Unlock()
	if sub != nil {
		s.live.leave(sub)
	}
	t.reply(id, &protocol.Reply{Unsubscribe: &protocol.UnsubscribeResult{}})
	return nil
}
