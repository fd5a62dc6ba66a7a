package live

import (
	"errors"
	"sync"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/park"
)

// Deliver takes what channels give. It is called with the lock of a part of the channel held.
func (s *Session) Deliver(sub *fanout.Subscription, b *fanout.Batch) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == over || sub.Ended {
		return 0
	}
	if s.out == nil && s.corks == 0 && s.transport != transportUniSSE && b.Fits(sub) {
		bytes, err := b.Bytes(sub, s.format)
		if err != nil {
			s.endLocked(DisconnectInappropriate)
			return 0
		}
		if len(bytes) == 0 {
			return 0
		}
		err = s.conn.Write(bytes)
		if err == nil {
			s.stuck = false
			sub.Reached(b.Last())
			return len(b.Items)
		}
		if !errors.Is(err, park.ErrBlocked) {
			return 0
		}
		s.blocked = true
	}
	taken := s.hold(sub, b)
	s.unload()
	return taken
}

// Restarted lets the offsets of a channel begin again.
func (s *Session) Restarted(sub *fanout.Subscription) {
	s.mu.Lock()
	sub.Restart()
	s.mu.Unlock()
}

// hold puts items into the outbox, as the policy of the channel has it. It is called with s.mu held.
func (s *Session) hold(sub *fanout.Subscription, b *fanout.Batch) (taken int) {
	o := s.live.options.Load()
	slow := "disconnect"
	if n, _ := o.find(sub.Channel.Name); n != nil {
		slow = n.Slow
	}
	if s.out == nil {
		s.out = &outbox{}
	}
	before := s.out.size
	defer func() {
		if s.out != nil {
			s.live.metrics.queued.Add(int64(s.out.size - before))
		}
	}()
	for _, i := range b.Items {
		if !sub.Wants(i) {
			continue
		}
		sub.Reached(i.Offset())
		frame, err := i.Frame(s.format, sub.Whole())
		if err != nil {
			s.endLocked(DisconnectInappropriate)
			return taken
		}
		l := letter{frame: frame, sub: sub, offset: i.Offset()}
		if slow == "latest_per_key" && i.Kind == fanout.Publication && s.blocked {
			l.key = "k" + i.Key()
			s.live.metrics.dropped(slow, s.out.remove(func(o *letter) bool { return o.sub == sub && o.key == l.key }))
		}
		s.out.add(l)
		taken++
		if s.out.size <= int(o.MaxQueue) {
			continue
		}
		switch slow {
		case "drop_oldest", "latest_per_key":
			s.live.metrics.dropped(slow, s.out.oldest(int(o.MaxQueue)))
			if n := len(s.out.letters); n == 0 || s.out.letters[n-1].sub != sub {
				sub.Lost()
			}
			if s.out.size <= int(o.MaxQueue) {
				continue
			}
		case "resync":
			s.live.metrics.dropped(slow, s.out.remove(func(o *letter) bool { return o.sub == sub }))
			size := s.out.size
			s.insufficient(sub)
			before += s.out.size - size // it has counted what it adds
			return taken
		}
		s.live.metrics.dropped("disconnect", len(s.out.letters))
		s.endLocked(DisconnectSlow)
		return taken
	}
	return taken
}

// insufficient makes the client subscribe again, since it would miss something: it recovers from the history. It is called with s.mu held.
func (s *Session) insufficient(sub *fanout.Subscription) {
	if sub.Ended {
		return
	}
	if sub.Flags()&fanout.Server != 0 {
		s.endLocked(DisconnectInsufficientState)
		return
	}
	s.dismiss(sub, unsubscribedState, reasonState)
}

// dismiss ends a subscription and tells the client. It is called with s.mu held, and perhaps locks of channels.
func (s *Session) dismiss(sub *fanout.Subscription, code uint32, reason string) {
	sub.Ended = true
	if !s.remove(sub) {
		return
	}
	if s.out != nil {
		before := s.out.size
		s.out.remove(func(l *letter) bool { return l.sub == sub })
		s.live.metrics.queued.Add(int64(s.out.size - before))
	}
	s.push(&protocol.Push{Channel: sub.Channel.Name, Unsubscribe: &protocol.Unsubscribe{Code: code, Reason: reason}})
	go s.live.leave(sub)
}

// push sends what belongs to no publication. It is called with s.mu held.
func (s *Session) push(p *protocol.Push) {
	m, err := s.format.Push(p)
	if err != nil {
		s.endLocked(DisconnectInappropriate)
		return
	}
	var frame []byte
	if s.transport == transportUniSSE {
		frame = s.appendID(frame)
	}
	s.write(s.format.Append(frame, m))
}

// write sends a frame, after what waits for the socket. It is called with s.mu held.
func (s *Session) write(frame []byte) {
	if s.state == over {
		return
	}
	if !s.blocked {
		err := s.conn.Write(frame)
		if err == nil {
			s.stuck = false
			return
		}
		if !errors.Is(err, park.ErrBlocked) {
			return
		}
		s.blocked = true
	}
	if s.out == nil {
		s.out = &outbox{}
	}
	s.out.add(letter{frame: frame})
	s.live.metrics.queued.Add(int64(len(frame) + letterSize))
	if s.out.size > int(s.live.options.Load().MaxQueue) {
		s.live.metrics.dropped("disconnect", len(s.out.letters))
		s.endLocked(DisconnectSlow)
	}
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, writeSize); return &b }}

const writeSize = 64 << 10 // bytes that are written at once from an outbox, about

// Writable goes on with what waits.
func (s *Session) Writable(*park.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blocked, s.stuck = false, false
	s.unload()
}

// unload writes what waits, unless a turn holds it back. It is called with s.mu held.
func (s *Session) unload() {
	if s.out == nil || s.blocked || s.corks > 0 || s.state == over {
		return
	}
	buffer := buffers.Get().(*[]byte)
	defer buffers.Put(buffer)
	before := s.out.size
	for len(s.out.letters) > 0 {
		first := s.out.first
		if s.transport == transportUniSSE {
			first = s.gather
		}
		b, n := first((*buffer)[:0], writeSize)
		if cap(b) <= 4*writeSize {
			*buffer = b
		}
		if err := s.conn.Write(b); err != nil {
			s.blocked = true
			break
		}
		s.out.drop(n)
	}
	s.live.metrics.queued.Add(int64(s.out.size - before))
	if len(s.out.letters) == 0 {
		s.out = nil
	}
}

// drain forgets what waits. It is called with s.mu held.
func (s *Session) drain() {
	if s.out != nil {
		s.live.metrics.queued.Add(-int64(s.out.size))
		s.out = nil
	}
}
