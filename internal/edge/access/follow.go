package access

import (
	"bytes"
	"sync"
	"sync/atomic"
)

// followers get lines as they come.
type followers struct {
	count atomic.Int32
	mu    sync.Mutex
	all   map[*Follower]struct{}
}

// Follower gets the lines of requests. It loses those that it does not take in time.
type Follower struct {
	Lines  chan []byte // JSON, without the end of the line
	Missed atomic.Uint64

	log *Log
}

// Follow begins to follow; waiting is the number of lines that may wait. Close ends it.
func (l *Log) Follow(waiting int) *Follower {
	f := &Follower{Lines: make(chan []byte, waiting), log: l}
	l.followers.mu.Lock()
	defer l.followers.mu.Unlock()
	if l.followers.all == nil {
		l.followers.all = map[*Follower]struct{}{}
	}
	l.followers.all[f] = struct{}{}
	l.followers.count.Add(1)
	return f
}

// Close ends following.
func (f *Follower) Close() {
	s := &f.log.followers
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.all[f]; there {
		delete(s.all, f)
		s.count.Add(-1)
	}
}

// Followed tells whether somebody follows.
func (l *Log) Followed() bool { return l.followers.count.Load() > 0 }

func (s *followers) tell(line []byte) {
	line = bytes.Clone(bytes.TrimSuffix(line, []byte("\n")))
	s.mu.Lock()
	defer s.mu.Unlock()
	for f := range s.all {
		select {
		case f.Lines <- line:
		default:
			f.Missed.Add(1)
		}
	}
}
