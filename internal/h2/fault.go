package h2

import (
	"context"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/time/rate"
)

// faults logs what clients do against the protocol, since requests that never were have no line in the access log: connections that are ended for it
// at warn, streams that are reset at debug.
type faults struct {
	log            *slog.Logger
	conns, streams seldom
}

func newFaults(log *slog.Logger) *faults {
	f := &faults{log: log}
	for _, s := range []*seldom{&f.conns, &f.streams} {
		s.sometimes.First, s.sometimes.Interval = 10, time.Second
	}
	return f
}

func (f *faults) conn(remote string, code http2.ErrCode) {
	f.conns.tell(f.log, slog.LevelWarn, "connection with HTTP/2 is ended for a fault of the client", "remote", remote, "code", code.String())
}

func (f *faults) stream(remote string, fault http2.StreamError) {
	f.streams.tell(f.log, slog.LevelDebug, "stream of HTTP/2 is reset for a fault of the client", "remote", remote, "stream", fault.StreamID, "code", fault.Code.String())
}

// seldom bounds the lines that clients can cause: the first ten, then one in a second.
type seldom struct {
	sometimes rate.Sometimes
	left      atomic.Int64 // out since the last line
}

func (s *seldom) tell(log *slog.Logger, level slog.Level, what string, args ...any) {
	if !log.Enabled(context.Background(), level) {
		return
	}
	told := false
	s.sometimes.Do(func() {
		told = true
		if left := s.left.Swap(0); left > 0 {
			args = append(args, "left_out", left)
		}
		log.Log(context.Background(), level, what, args...)
	})
	if !told {
		s.left.Add(1)
	}
}
