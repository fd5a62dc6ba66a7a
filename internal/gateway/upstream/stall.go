package upstream

import (
	"bytes"
	"sync"
	"time"
)

// glance is how often it is looked for an answer while the body of the request has nothing to give.
const glance = 250 * time.Millisecond

// stall looks for an answer while the body of a request is waited for: a target that refuses it does not wait for its end.
type stall struct {
	k         *conn
	interrupt func()

	mu      sync.Mutex
	timer   *time.Timer
	reading bool // nobody else uses the connection
	cut     bool // the read was ended since there is an answer
}

// watched is from.Read, which ends early, with cut, if the rest of the body is useless. It needs call.Interrupt.
func (s *stall) watched(read func([]byte) (int, error), to []byte) (n int, err error, cut bool) {
	s.mu.Lock()
	s.reading = true
	if s.timer == nil {
		s.timer = time.AfterFunc(glance, s.look)
	} else {
		s.timer.Reset(glance)
	}
	s.mu.Unlock()
	n, err = read(to)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = false
	s.timer.Stop()
	return n, err, s.cut
}

func (s *stall) look() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.reading {
		return
	}
	k := s.k
	if s.cut = s.cut || k.peekAnswer() != nil || useless(k.buffered()); s.cut {
		s.interrupt()
	}
	s.timer.Reset(glance) // again, too, if the read was about to begin
}

// peekAnswer buffers what has come of an answer, behind what there is of it.
func (k *conn) peekAnswer() error {
	if k.w > k.r && (k.raw == nil || k.secure || k.w == len(k.buf.b)) {
		return nil
	}
	if k.w > k.r {
		_, err := k.take()
		return err
	}
	_, err := k.poll()
	return err
}

// useless tells whether an answer says that the rest of the request is not wanted, as all do that are no success; interim ones do not count.
func useless(b []byte) bool {
	const status = len("HTTP/1.1 ")
	for len(b) > status && b[status] == '1' {
		end := bytes.Index(b, []byte("\r\n\r\n"))
		if end < 0 {
			return false
		}
		b = b[end+4:]
	}
	return len(b) > status && b[status] != '2'
}
