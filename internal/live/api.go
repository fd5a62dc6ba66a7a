package live

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/problem"
)

// PublishOptions are of a publication of the server.
type PublishOptions struct {
	Key            string            // of publications of which only the latest matters
	Tags           map[string]string // given to subscribers
	Info           *protocol.ClientInfo
	IdempotencyKey string        // a publication with the same key in the same channel is published once
	IdempotencyTTL time.Duration // how long the key is known; default 5 min, at most 1 h
	Version        uint64        // with a history: skipped when not above that of the publication before; 0 none
	VersionEpoch   string        // versions are compared within the same one
	SkipHistory    bool          // only those who are there get it; it has no offset
}

// PublishResult is where a publication is in its channel's history; zero without one.
type PublishResult struct {
	Offset  uint64
	Epoch   string
	Skipped bool // it was published before, or a later version was
}

// channel is the namespace of a channel that the server names: HR3010.
func (l *Live) channel(name string) (*namespace, error) {
	n, _, err := l.options.Load().channel(name)
	if err != nil {
		return nil, problem.New("HR3010", "channel %.300q: %s", name, failure(err).Message)
	}
	return n, nil
}

// Publish publishes data, JSON unless all clients of the channel speak protobuf. It returns once the publication is as durable as the channel: HR3010
// for an unknown channel, HR3011 for data that is empty or too large, HR3012 for a channel that is only read.
func (l *Live) Publish(ctx context.Context, channel string, data []byte, o PublishOptions) (PublishResult, error) {
	n, err := l.channel(channel)
	if err != nil {
		return PublishResult{}, err
	}
	if n.source != nil {
		return PublishResult{}, problem.New("HR3012", "nobody publishes in %s", channel)
	}
	if len(data) == 0 || len(data) > int(n.MaxPublication) {
		return PublishResult{}, problem.New("HR3011", "the data has %d bytes, 1 to %d are allowed", len(data), n.MaxPublication).At(channel)
	}
	p := &protocol.Publication{Data: data, Key: o.Key, Tags: o.Tags, Info: o.Info}
	return l.store(ctx, n, channel, p, o)
}

// Broadcast publishes the same data in several channels; each has its result and its error.
func (l *Live) Broadcast(ctx context.Context, channels []string, data []byte, o PublishOptions) ([]PublishResult, []error) {
	results, failed := make([]PublishResult, len(channels)), make([]error, len(channels))
	done := make(chan struct{}, len(channels))
	slots := make(chan struct{}, 64)
	for i, channel := range channels {
		slots <- struct{}{}
		go func() {
			results[i], failed[i] = l.Publish(ctx, channel, data, o)
			<-slots
			done <- struct{}{}
		}()
	}
	for range channels {
		<-done
	}
	return results, failed
}

// Whom chooses connections: those of a user, or one client; both must fit when both are given.
type Whom struct{ User, Client string }

func (l *Live) whom(w Whom) []*Session {
	if w.Client != "" {
		id, ok := parseClientID(w.Client)
		s := l.registry.find(id)
		if !ok || s == nil || w.User != "" && s.identity().user != w.User {
			return nil
		}
		return []*Session{s}
	}
	return l.registry.of(w.User)
}

// SubscribeOptions are of a subscription that the server makes.
type SubscribeOptions struct {
	Info, Data []byte           // JSON: about the client in this channel, and to the client
	ExpireAt   int64            // Unix seconds; 0 is never
	Since      history.Position // recover behind it; zero does not recover
}

// Subscribe subscribes connections to a channel. Those that are subscribed stay so. It returns how many connections were found, and the first error
// of one that could not be subscribed: HR3013. The others are.
func (l *Live) Subscribe(channel string, w Whom, o SubscribeOptions) (int, error) {
	n, err := l.channel(channel)
	if err != nil {
		return 0, err
	}
	if n.source != nil {
		return 0, problem.New("HR3012", "the channel %s is opened by its token only", channel)
	}
	all := l.whom(w)
	var failed error
	for _, s := range all {
		if !s.connected() || s.subscribed(channel) {
			continue
		}
		r := &protocol.SubscribeRequest{Channel: channel, Recover: o.Since.Epoch != "", Epoch: o.Since.Epoch, Offset: o.Since.Offset}
		t := &turn{s: s}
		result, err := s.join(t, n, channel, admission{info: o.Info, data: o.Data, expires: o.ExpireAt, server: true}, r)
		switch {
		case err == nil:
			s.mu.Lock()
			s.welcomed(channel, result)
			s.mu.Unlock()
		case errors.Is(err, ErrAlreadySubscribed) || errors.Is(err, DisconnectClosed): // it has its place, or is gone
		case failed == nil:
			failed = problem.New("HR3013", "client %s: %w", s.id, err).At(channel)
		}
		t.flush()
	}
	return len(all), failed
}

func (s *Session) subscribed(channel string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.find(channel) != nil
}

// Unsubscribe ends subscriptions of connections, of all channels where channel is empty. It returns how many it ended.
func (l *Live) Unsubscribe(channel string, w Whom) int {
	ended := 0
	for _, s := range l.whom(w) {
		s.mu.Lock()
		for _, sub := range slices.Clone(s.subs) {
			if channel == "" || sub.Channel.Name == channel {
				s.dismiss(sub, unsubscribedServer, reasonServer)
				ended++
			}
		}
		s.mu.Unlock()
	}
	return ended
}

// Disconnect ends connections, but not the client kept. A zero d is DisconnectForce, after which clients do not come back. It returns how many.
func (l *Live) Disconnect(w Whom, d Disconnect, kept string) int {
	if d.Code == 0 {
		d = *DisconnectForce
	}
	d.Reason = cutReason(d.Reason)
	n := 0
	for _, s := range l.whom(w) {
		if kept == "" || s.id.String() != kept {
			s.end(&d)
			n++
		}
	}
	return n
}

// Refresh changes when connections end: at a Unix time, 0 being never, or now where expired. It returns how many connections were found.
func (l *Live) Refresh(w Whom, expireAt int64, expired bool) int {
	all := l.whom(w)
	for _, s := range all {
		expires, ttl, past := expiry(expireAt)
		if expired || past {
			s.end(DisconnectExpired)
			continue
		}
		next := *s.identity()
		next.expires = expireAt
		s.become(&next)
		s.mu.Lock()
		s.push(&protocol.Push{Refresh: &protocol.Refresh{Expires: expires, Ttl: ttl}})
		s.mu.Unlock()
	}
	return len(all)
}

// Presence is who is in a channel, by client: HR3010, HR3014 where presence is not kept.
func (l *Live) Presence(channel string) (map[string]*protocol.ClientInfo, error) {
	if err := l.keepsPresence(channel); err != nil {
		return nil, err
	}
	return l.present(channel), nil
}

// PresenceStats counts the clients and users in a channel.
func (l *Live) PresenceStats(channel string) (clients, users int, err error) {
	if err := l.keepsPresence(channel); err != nil {
		return 0, 0, err
	}
	clients, users = l.crowd(channel)
	return clients, users, nil
}

func (l *Live) keepsPresence(channel string) error {
	n, err := l.channel(channel)
	if err == nil && !n.Presence {
		err = problem.New("HR3014", "presence of %s is not kept", channel)
	}
	return err
}

func (l *Live) history(channel string) (*history.Log, error) {
	n, err := l.channel(channel)
	if err != nil {
		return nil, err
	}
	if n.log == nil {
		return nil, problem.New("HR3015", "%s has no history", channel)
	}
	return n.log, nil
}

// History reads publications of a channel: HR3010, HR3015 without a history, HR3016 when what is asked for is gone.
func (l *Live) History(ctx context.Context, channel string, f history.Filter) ([]*protocol.Publication, history.Position, error) {
	log, err := l.history(channel)
	if err != nil {
		return nil, history.Position{}, err
	}
	publications, top, err := log.Read(ctx, channel, f)
	if errors.Is(err, history.ErrGone) {
		err = problem.New("HR3016", "the publications behind %d of epoch %q are not there", f.Since.Offset, f.Since.Epoch).At(channel)
	}
	return publications, top, err
}

// RemoveHistory removes the publications of a channel. Clients that keep their place subscribe again.
func (l *Live) RemoveHistory(ctx context.Context, channel string) error {
	log, err := l.history(channel)
	if err != nil {
		return err
	}
	if err := log.Remove(ctx, channel); err != nil {
		return err
	}
	if c := l.hub.Channel(channel); c != nil {
		l.restart(c)
	}
	return nil
}

// ChannelInfo is a channel that has subscribers.
type ChannelInfo struct {
	Name        string
	Subscribers int
}

// Channels lists the channels that have subscribers and whose names match a pattern, with * for anything; "" is all.
func (l *Live) Channels(pattern string) []ChannelInfo {
	var all []ChannelInfo
	l.hub.Each(func(c *fanout.Channel) {
		if pattern == "" || like(c.Name, pattern) {
			all = append(all, ChannelInfo{c.Name, c.Count()})
		}
	})
	slices.SortFunc(all, func(a, b ChannelInfo) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// like matches a name with a pattern in which * stands for anything.
func like(name, pattern string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return name == pattern
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// Connection is a client as operators see it.
type Connection struct {
	Client, User, Transport, Protocol, Address string

	Info     json.RawMessage
	Channels []string
	Queued   int // bytes that wait for it
}

// Connections lists at most so many connections of a user, or of anybody where user is empty.
func (l *Live) Connections(user string, most int) []Connection {
	sessions := l.registry.of(user)
	if user == "" {
		sessions = l.registry.all()
	}
	all := []Connection{}
	for _, s := range sessions {
		if len(all) >= most {
			break
		}
		w := s.identity()
		c := Connection{Client: s.id.String(), User: w.user, Transport: s.transport.String(), Protocol: string(s.format.Type()), Info: w.info}
		s.mu.Lock()
		if s.conn != nil {
			c.Address = s.conn.Remote().String()
		}
		for _, sub := range s.subs {
			c.Channels = append(c.Channels, sub.Channel.Name)
		}
		if s.out != nil {
			c.Queued = s.out.size
		}
		connected := s.state == connected
		s.mu.Unlock()
		if connected {
			all = append(all, c)
		}
	}
	return all
}

// Info is the plane in figures.
type Info struct {
	Node          string
	Uptime        time.Duration
	Connections   int
	Users         int
	Channels      int
	Subscriptions int
}

// Info counts what there is.
func (l *Live) Info() Info {
	i := Info{Node: l.node, Uptime: time.Since(l.opened).Round(time.Second)}
	i.Channels, i.Subscriptions = l.hub.Len()
	l.registry.mu.RLock()
	defer l.registry.mu.RUnlock()
	i.Connections, i.Users = l.registry.count, len(l.registry.users)
	return i
}
