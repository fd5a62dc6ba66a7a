package h2

import (
	"bytes"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/http2"
)

// lines takes a log.
type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.String()), "\n")
}

// What a client does against the protocol has a line with its address and the code, and no more of them than are good for the log.
func TestFaultsAreTold(t *testing.T) {
	var log lines
	r := newRig(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}, func(http.ResponseWriter, *http.Request) {})
	p := r.peer(t)
	own := p.LocalAddr().String()
	_ = p.WritePriority(7, http2.PriorityParam{StreamDep: 7})
	p.expect(func(f http2.Frame) bool { s, ok := f.(*http2.RSTStreamFrame); return ok && s.StreamID == 7 })
	_ = p.WriteData(9, true, []byte("a body of no request"))
	p.expect(func(f http2.Frame) bool {
		g, ok := f.(*http2.GoAwayFrame)
		return ok && g.ErrCode == http2.ErrCodeProtocol
	})
	got := log.all()
	if len(got) != 2 || !strings.Contains(got[0], "level=DEBUG") || !strings.Contains(got[0], "remote="+own+" stream=7 code=PROTOCOL_ERROR") ||
		!strings.Contains(got[1], "level=WARN") || !strings.Contains(got[1], "remote="+own+" code=PROTOCOL_ERROR") {
		t.Errorf("%q", got)
	}

	p = r.peer(t)
	const times = 1000
	for range times {
		_ = p.WritePriority(7, http2.PriorityParam{StreamDep: 7})
	}
	for n := 0; n < times; n++ {
		p.expect(func(f http2.Frame) bool { _, ok := f.(*http2.RSTStreamFrame); return ok })
	}
	if got := log.all(); len(got) < 10 || len(got) > 100 {
		t.Errorf("%d lines of %d faults", len(got), times)
	}
}

// A line tells how many were left out before it; none is made where nobody reads them.
func TestFaultsAreBounded(t *testing.T) {
	var log lines
	f := newFaults(slog.New(slog.NewTextHandler(&log, nil)))
	for range 25 {
		f.conn("192.0.2.1:1", http2.ErrCodeEnhanceYourCalm)
		f.stream("192.0.2.1:1", http2.StreamError{StreamID: 1, Code: http2.ErrCodeProtocol})
	}
	f.conns.sometimes.Interval = 1 // nanosecond
	f.conn("192.0.2.1:1", http2.ErrCodeEnhanceYourCalm)
	got := log.all()
	if len(got) != 11 || strings.Contains(got[9], "left_out") || !strings.Contains(got[10], "left_out=15") || !strings.Contains(got[10], "code=ENHANCE_YOUR_CALM") {
		t.Errorf("%q", got)
	}
}

// A client that goes, or that is told to go, has made no fault.
func TestNoFaultIsTold(t *testing.T) {
	var log lines
	r := newRig(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	},
		func(http.ResponseWriter, *http.Request) {})
	r.ask(t, "GET", "/", nil)
	_ = r.peer(t).Close()
	r.Drain(t.Context())
	if got := log.all(); got[0] != "" {
		t.Errorf("%q", got)
	}
}
