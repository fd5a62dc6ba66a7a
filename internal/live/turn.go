package live

import (
	"errors"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/wire"
)

// turn is the handling of the commands that came together, or of one that takes its time. Their replies go out together.
type turn struct {
	s       *Session
	replies [][]byte
	corked  bool
}

// cork holds back what channels send until the replies of this turn are written.
func (t *turn) cork() {
	if t.corked {
		return
	}
	t.corked = true
	t.s.mu.Lock()
	t.s.corks++
	t.s.mu.Unlock()
}

func (t *turn) reply(id uint32, r *protocol.Reply) {
	r.Id = id
	m, err := t.s.format.Reply(r)
	if err != nil { // data that is not JSON for a client that speaks JSON
		t.s.end(DisconnectInappropriate)
		return
	}
	t.replies = append(t.replies, m)
}

// fail tells the client of an error; a Disconnect ends its connection.
func (t *turn) fail(id uint32, err error) {
	var d *Disconnect
	if errors.As(err, &d) {
		t.flush()
		t.s.end(d)
		return
	}
	f := failure(err)
	t.s.live.metrics.failed(f.Code)
	if f.Code == ErrInternal.Code && f != ErrInternal {
		t.s.live.Log.Debug("command failed", "error", err)
	}
	if id != 0 {
		t.reply(id, &protocol.Reply{Error: f.reply()})
	}
}

// flush writes the replies, then what was held back.
func (t *turn) flush() {
	s := t.s
	s.mu.Lock()
	if len(t.replies) > 0 {
		if s.format&wire.Uni == 0 {
			s.write(s.format.Append(nil, t.replies...))
		}
		t.replies = t.replies[:0]
	}
	if t.corked {
		t.corked = false
		s.corks--
		s.unload()
	}
	s.mu.Unlock()
}

// later answers a command that takes its time, so that others are not held up.
func (s *Session) later(id uint32, f func(*turn) error) error {
	s.mu.Lock()
	if int(s.busy) >= s.live.options.Load().MaxCalls {
		s.mu.Unlock()
		return ErrTooManyRequests
	}
	s.busy++
	s.mu.Unlock()
	s.live.tasks.Go(func() {
		t := &turn{s: s}
		if err := f(t); err != nil {
			t.fail(id, err)
		}
		s.mu.Lock()
		s.busy-- // before the client can know and send the next
		s.mu.Unlock()
		t.flush()
	})
	return nil
}
