package live

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/wire"
)

// welcome is what a client is let in with.
type welcome struct {
	who  *who
	data []byte
	subs map[string]admission // subscribed by the server
}

// connectClaims are those of Centrifugo's connection tokens.
type connectClaims struct {
	Info     json.RawMessage `json:"info"`
	B64Info  string          `json:"b64info"`
	ExpireAt *int64          `json:"expire_at"`
	Channels []string        `json:"channels"`
	Subs     map[string]struct {
		Info    json.RawMessage `json:"info"`
		B64Info string          `json:"b64info"`
		Data    json.RawMessage `json:"data"`
		B64Data string          `json:"b64data"`
	} `json:"subs"`
}

// connect answers the connect command.
func (s *Session) connect(t *turn, id uint32, r *protocol.ConnectRequest) error {
	s.mu.Lock()
	s.state = connecting
	s.mu.Unlock()
	w, err := s.verify(r.Token)
	known := w != nil
	if met := s.identity(); err == nil && !known && met != nobody {
		w, known = &welcome{who: met}, met.user != ""
	}
	if err == nil && s.live.handles("connect", "") {
		request := s.connectRequest(w, r)
		restored := cloneSubs(r.Subs)
		err = s.later(id, func(t *turn) error {
			asked, err := s.askConnect(request, w)
			if err == nil {
				err = s.enter(t, id, asked, restored)
			}
			return s.refuse(err)
		})
		return s.refuse(err)
	}
	if w == nil {
		w = &welcome{who: nobody}
	}
	if err == nil && !known && !s.live.options.Load().Anonymous {
		err = DisconnectPermissionDenied
	}
	if err == nil {
		err = s.enter(t, id, w, r.Subs)
	}
	return s.refuse(err)
}

// refuse notes that a connect command failed. A client that gets no replies is told by a disconnect.
func (s *Session) refuse(err error) error {
	if err == nil {
		return nil
	}
	s.mu.Lock()
	if s.state == connecting {
		s.state = refused
	}
	s.mu.Unlock()
	if s.uni() {
		return finally(err)
	}
	return err
}

// finally is the Disconnect for an error that a client cannot be told otherwise.
func finally(err error) error {
	var d *Disconnect
	switch f := failure(err); {
	case errors.As(err, &d):
		return d
	case f == ErrTokenExpired || f == ErrExpired:
		return DisconnectExpired
	case f.Temporary:
		return DisconnectServerError
	case f == ErrPermissionDenied || f == ErrUnauthorized:
		return DisconnectPermissionDenied
	case f == ErrLimitExceeded:
		return DisconnectChannelLimit
	default:
		return DisconnectBadRequest
	}
}

// verify reads a connection token; nil without one.
func (s *Session) verify(token string) (*welcome, error) {
	if token == "" {
		return nil, nil
	}
	v := s.live.options.Load().tokens
	if v == nil {
		return nil, DisconnectInvalidToken
	}
	claims, err := v.Verify(token)
	if errors.Is(err, identity.ErrExpired) {
		return nil, ErrTokenExpired
	}
	if errors.Is(err, identity.ErrUnread) {
		return nil, ErrInternal // temporary: the token may be right
	}
	if err != nil {
		s.live.Log.Debug("token refused", "error", err)
		return nil, DisconnectInvalidToken
	}
	var c connectClaims
	if err := claims.Decode(&c); err != nil {
		return nil, DisconnectInvalidToken
	}
	w := &welcome{who: &who{user: strings.Clone(claims.Subject), claims: claims.Raw, method: "jwt", refresh: true}}
	if w.who.info, err = either(c.Info, c.B64Info); err != nil {
		return nil, DisconnectInvalidToken
	}
	if !claims.Expires.IsZero() {
		w.who.expires = claims.Expires.Unix()
	}
	if c.ExpireAt != nil {
		w.who.expires = max(*c.ExpireAt, 0)
	}
	if len(c.Channels)+len(c.Subs) > 0 {
		w.subs = map[string]admission{}
	}
	for _, channel := range c.Channels {
		w.subs[channel] = admission{}
	}
	for channel, sub := range c.Subs {
		var a admission
		var bad error
		a.info, err = either(sub.Info, sub.B64Info)
		a.data, bad = either(sub.Data, sub.B64Data)
		if err != nil || bad != nil {
			return nil, DisconnectInvalidToken
		}
		w.subs[channel] = a
	}
	return w, nil
}

// either is JSON of a claim, or the bytes that another claim holds in base64.
func either(text json.RawMessage, encoded string) ([]byte, error) {
	if encoded != "" {
		return base64.StdEncoding.DecodeString(encoded)
	}
	return text, nil
}

func (s *Session) connectRequest(w *welcome, r *protocol.ConnectRequest) *connectRequest {
	request := &connectRequest{Client: s.id.String(), Transport: s.transport.String(), Protocol: string(s.format.Type()),
		Name: strings.Clone(r.Name), Version: strings.Clone(r.Version), Data: jsonOnly(r.Data)}
	if w != nil {
		request.User, request.Claims = w.who.user, w.who.claims
	}
	s.mu.Lock()
	if s.more != nil {
		request.Headers, s.more.headers = s.more.headers, nil
	}
	s.mu.Unlock()
	for name, value := range r.Headers { // which may add to those of the handshake, and replace none
		name = strings.ToLower(name)
		if _, there := request.Headers[name]; !there {
			if request.Headers == nil {
				request.Headers = map[string]string{}
			}
			request.Headers[name] = strings.Clone(value)
		}
	}
	return request
}

// jsonOnly is data for a request that is JSON: what is not JSON is passed as a string.
func jsonOnly(data []byte) json.RawMessage {
	if len(data) == 0 || json.Valid(data) {
		return data
	}
	text, _ := json.Marshal(string(data)) // never fails
	return text
}

// askConnect has the app's function change or make the welcome.
func (s *Session) askConnect(request *connectRequest, w *welcome) (*welcome, error) {
	a, err := s.live.ask("connect", request)
	if err != nil {
		return nil, err
	}
	got := &welcome{who: &who{user: a.User, info: a.Info, method: "function", expires: a.ExpireAt}, data: a.Data, subs: map[string]admission{}}
	if w != nil {
		*got.who = *w.who
		if a.User != "" {
			got.who.user, got.who.method = a.User, "function"
		}
		if a.Info != nil {
			got.who.info = a.Info
		}
		if a.ExpireAt != 0 {
			got.who.expires = a.ExpireAt
		}
		for channel, sub := range w.subs {
			got.subs[channel] = sub
		}
	}
	for _, channel := range a.Channels {
		got.subs[channel] = admission{}
	}
	for channel, sub := range a.Subs {
		got.subs[channel] = admission{info: sub.Info, data: sub.Data}
	}
	return got, nil
}

func cloneSubs(subs map[string]*protocol.SubscribeRequest) map[string]*protocol.SubscribeRequest {
	all := make(map[string]*protocol.SubscribeRequest, len(subs))
	for channel, r := range subs {
		if r != nil {
			all[strings.Clone(channel)] = &protocol.SubscribeRequest{Recover: r.Recover, Epoch: strings.Clone(r.Epoch), Offset: r.Offset, Delta: strings.Clone(r.Delta)}
		}
	}
	return all
}

// enter lets a client in: its connection counts as that of its user, and the server's subscriptions are made.
func (s *Session) enter(t *turn, id uint32, w *welcome, restored map[string]*protocol.SubscribeRequest) error {
	o := s.live.options.Load()
	if len(w.subs) > o.MaxChannels {
		return DisconnectChannelLimit
	}
	expires, ttl, expired := expiry(w.who.expires)
	if expired {
		return ErrExpired
	}
	s.mu.Lock()
	if s.state != connecting {
		s.mu.Unlock()
		return DisconnectClosed
	}
	if !s.live.registry.name(s, w.who.user, o.ConnectionsPerUser) {
		s.mu.Unlock()
		return DisconnectConnectionLimit
	}
	s.named = w.who.user != ""
	s.who = w.who
	if w.who.expires != 0 {
		s.endsAt = s.live.tickAt(w.who.expires, o.Ping)
	}
	s.mu.Unlock()
	result := &protocol.ConnectResult{Client: s.id.String(), Version: version, Data: w.data, Expires: expires && w.who.refresh, Ping: uint32(o.Ping / time.Second)}
	if result.Expires {
		result.Ttl = ttl
	}
	result.Pong = !s.uni() && !s.frames
	if s.frames {
		result.Ping = 0
	}
	if s.transport == transportSSE || s.transport == transportStream {
		result.Session, result.Node = s.session(), s.live.node
	}
	for channel, a := range w.subs {
		n, name := o.find(channel)
		if n == nil || n.source != nil || len(channel) > o.MaxChannelLength || name == "" {
			s.live.Log.Warn("the server cannot subscribe a client", "channel", channel)
			return ErrUnknownChannel
		}
		r := restored[channel]
		if r == nil {
			r = s.behind(channel)
		}
		a.server = true
		sub, err := s.join(t, n, channel, a, r)
		if err != nil {
			return err
		}
		if result.Subs == nil {
			result.Subs = map[string]*protocol.SubscribeResult{}
		}
		result.Subs[channel] = sub
	}
	s.mu.Lock()
	if s.state == connecting {
		s.state = connected
		s.greet()
	}
	if s.uni() {
		for channel, sub := range result.Subs { // what they recover comes with it
			for _, p := range sub.Publications {
				s.passes(channel, p.Offset)
			}
		}
		push := &protocol.Push{Connect: &protocol.Connect{Client: result.Client, Version: result.Version, Data: result.Data, Subs: result.Subs,
			Expires: result.Expires, Ttl: result.Ttl, Ping: result.Ping}}
		s.push(push)
	}
	var wanted []string
	if s.more != nil {
		wanted, s.more.wanted = s.more.wanted, nil
	}
	s.mu.Unlock()
	if s.uni() {
		return s.ask(t, wanted, restored)
	}
	t.reply(id, &protocol.Reply{Connect: result})
	return nil
}

// version is what clients are told.
const version = "headrace"

// expiry is what a client is told of a Unix time at which something ends; 0 is never.
func expiry(at int64) (expires bool, ttl uint32, expired bool) {
	if at == 0 {
		return false, 0, false
	}
	left := at - time.Now().Unix()
	return left > 0, uint32(max(min(left, 365*24*3600), 0)), left <= 0
}

// handleUni takes the first message of a client that sends no other: a connect request, bare or as a command.
func (s *Session) handleUni(t *turn, message []byte) {
	s.mu.Lock()
	state := s.state
	s.mu.Unlock()
	if state != fresh {
		return
	}
	r := &protocol.ConnectRequest{}
	var err error
	if s.format&wire.Protobuf != 0 {
		err = r.UnmarshalCF(message)
	} else {
		var both struct {
			Connect json.RawMessage `json:"connect"`
		}
		if err = json.Unmarshal(message, &both); err == nil && both.Connect != nil {
			message = both.Connect
		}
		if err == nil {
			err = decodeJSON(message, r)
		}
	}
	if err != nil {
		s.end(DisconnectBadRequest)
		return
	}
	s.connectUni(t, r)
}

// connectUni connects a one-way client, which then is subscribed to the channels that it asked for.
func (s *Session) connectUni(t *turn, r *protocol.ConnectRequest) {
	s.live.metrics.commands[verbConnect].Add(1)
	if err := s.connect(t, 0, r); err != nil {
		t.fail(0, err)
	}
}

// ask subscribes a one-way client to the channels that it asked for. One that it may not have ends the connection, since there is no other way to
// tell it.
func (s *Session) ask(t *turn, channels []string, restored map[string]*protocol.SubscribeRequest) error {
	s.wants(channels)
	for _, channel := range channels {
		r := s.behind(channel)
		if known := restored[channel]; known != nil {
			r.Recover, r.Epoch, r.Offset = known.Recover, known.Epoch, known.Offset
		}
		if err := s.subscribe(t, 0, r); err != nil {
			return finally(err)
		}
	}
	return nil
}

// shown is the flags of what a subscription does to presence.
func shown(n *namespace) (f fanout.Flags) {
	if n.Presence {
		f |= fanout.Present
	}
	if n.JoinLeave {
		f |= fanout.Announced
	}
	return f
}
