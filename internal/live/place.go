package live

import (
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
)

// mostPlaces is of how many channels an event id tells, so that it stays a header that servers and proxies take.
const mostPlaces = 64

// place is where a one-way client over SSE is in a channel. The places of all its channels are the id of an event, which an EventSource brings back in
// Last-Event-ID when it reconnects.
type place struct {
	sub    *fanout.Subscription
	key    string // of the channel
	epoch  string
	offset uint64
}

// since is where a client was, by key of the channel.
type since map[string]place

// placeKey is a channel in an event id.
func placeKey(channel string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(channel))
	return strconv.FormatUint(h.Sum64(), 36)
}

// parseSince reads an event id. What is no place is left out, for it may be of something else.
func parseSince(id string) since {
	all := since{}
	for part := range strings.SplitSeq(id, ",") {
		key, rest, _ := strings.Cut(part, ".")
		epoch, digits, _ := strings.Cut(rest, ".")
		offset, err := strconv.ParseUint(digits, 10, 64)
		if err == nil && plain(key) && plain(epoch) && len(all) < mostPlaces {
			all[key] = place{key: key, epoch: epoch, offset: offset}
		}
	}
	return all
}

// plain tells whether a text can be a part of a place.
func plain(text string) bool {
	return text != "" && len(text) <= 64 && !strings.ContainsFunc(text, func(c rune) bool {
		return (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') && c != '-' && c != '_'
	})
}

// request is the one with which the client subscribes to a channel: behind its place, if it has one.
func (all since) request(channel string) *protocol.SubscribeRequest {
	r := &protocol.SubscribeRequest{Channel: channel}
	if p, ok := all[placeKey(channel)]; ok {
		r.Recover, r.Epoch, r.Offset = true, p.epoch, p.offset
	}
	return r
}

// behind is request for the place that the client brought.
func (s *Session) behind(channel string) *protocol.SubscribeRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil {
		return since(nil).request(channel)
	}
	return s.more.since.request(channel)
}

// wants forgets the places that the client brought of channels that it is in already, or does not ask for any more.
func (s *Session) wants(channels []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.more == nil || len(s.more.since) == 0 {
		return
	}
	kept := since{}
	for _, channel := range channels {
		if p, ok := s.more.since[placeKey(channel)]; ok {
			kept[p.key] = p
		}
	}
	s.more.since = kept
}

// begins notes the place of a subscription. It is called with s.mu held, like the others.
func (s *Session) begins(sub *fanout.Subscription, epoch string, offset uint64) {
	if s.more != nil {
		delete(s.more.since, placeKey(sub.Channel.Name))
	}
	if s.transport == transportUniSSE && plain(epoch) {
		m := s.extra()
		m.places = slices.DeleteFunc(m.places, func(p place) bool { return p.sub.Ended })
		m.places = append(m.places, place{sub, placeKey(sub.Channel.Name), epoch, offset})
	}
}

// passes notes that the client is given the publication of a channel at an offset next.
func (s *Session) passes(channel string, offset uint64) {
	if s.more == nil {
		return
	}
	for i := range s.more.places {
		if p := &s.more.places[i]; p.sub.Channel.Name == channel && !p.sub.Ended {
			p.offset = max(p.offset, offset)
		}
	}
}

// appendID writes the line of an event that tells the places, if there are any: also those that the client brought, of channels whose turn comes.
func (s *Session) appendID(b []byte) []byte {
	if s.more == nil || len(s.more.places)+len(s.more.since) == 0 {
		return b
	}
	b = append(b, "id: "...)
	if len(s.more.places)+len(s.more.since) <= mostPlaces { // else an empty id takes back the one before
		begin := len(b)
		for _, p := range s.more.places {
			if !p.sub.Ended {
				b = append(p.append(b), ',')
			}
		}
		for _, p := range s.more.since {
			b = append(p.append(b), ',')
		}
		b = b[:max(begin, len(b)-1)]
	}
	return append(b, '\n')
}

func (p *place) append(b []byte) []byte {
	b = append(append(append(append(b, p.key...), '.'), p.epoch...), '.')
	return strconv.AppendUint(b, p.offset, 10)
}

// gather appends what of the outbox is written next, of a client that gets event ids.
func (s *Session) gather(b []byte, size int) ([]byte, int) {
	n := 0
	for ; n < len(s.out.letters) && (n == 0 || len(b)+len(s.out.letters[n].frame) <= size); n++ {
		l := &s.out.letters[n]
		if l.sub != nil && l.offset != 0 {
			s.passes(l.sub.Channel.Name, l.offset)
			b = s.appendID(b)
		}
		b = append(b, l.frame...)
	}
	return b, n
}

// welcomed tells a one-way client of a subscription and of what it recovers. It is called with s.mu held.
func (s *Session) welcomed(channel string, r *protocol.SubscribeResult) {
	s.push(&protocol.Push{Channel: channel, Subscribe: &protocol.Subscribe{Recoverable: r.Recoverable, Positioned: r.Positioned,
		Epoch: r.Epoch, Offset: r.Offset, Data: r.Data}})
	for _, p := range r.Publications {
		s.passes(channel, p.Offset)
		s.push(&protocol.Push{Channel: channel, Pub: p})
	}
}
