// Package access is the log of requests: lines of JSON, sampled and without secrets, in a file or beside the other logs, and told to
// whoever follows them.
package access

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

const (
	mostHeld   = 1 << 20                // bytes of lines that wait to be written; more are dropped and counted
	flushEvery = 100 * time.Millisecond // longest time that a line waits
	flushAt    = 64 << 10               // bytes at which lines are written at once
)

// Log writes lines. Who tells it of a request never waits for the file.
type Log struct {
	// Dropped counts lines that were lost since the file takes them too slowly. It is a prometheus.Collector.
	Dropped prometheus.Counter

	log  *slog.Logger
	wake chan struct{}
	done chan struct{}

	mu     sync.Mutex
	held   []byte
	spare  []byte
	out    io.Writer
	closed bool

	followers followers
}

// New starts a log that writes to out. Trouble with out goes to log.
func New(out io.Writer, log *slog.Logger) *Log {
	l := &Log{out: out, log: log, wake: make(chan struct{}, 1), done: make(chan struct{}),
		Dropped: prometheus.NewCounter(prometheus.CounterOpts{Name: "headrace_edge_access_dropped_total", Help: "Lines of the access log that were dropped, since it was not written fast enough."})}
	go l.write()
	return l
}

// SetOutput writes the lines that follow to another place, and returns the former one.
func (l *Log) SetOutput(out io.Writer) io.Writer {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := l.out
	l.out = out
	return before
}

// Close writes what is held. Lines that come later are dropped.
func (l *Log) Close() {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return
	}
	l.closed = true
	l.mu.Unlock()
	close(l.wake)
	<-l.done
}

// Tell records a request whose answer is complete. A nil c records for followers alone.
func (l *Log) Tell(r *exchange.Request, title string, c *config.Access) {
	keep := keeps(c, r.Response.StatusCode())
	if !keep && !l.Followed() {
		return
	}
	if c == nil {
		c = &config.Access{}
	}
	b := lines.Get().(*[]byte)
	*b = appendLine((*b)[:0], r, title, c, time.Now())
	if r.AnswerBody() != nil {
		r.OnDone(func(o exchange.Outcome) { l.end(b, o, keep) })
		return
	}
	o := exchange.Outcome{}
	if !r.Response.IsBodyStream() {
		o.Bytes = int64(len(r.Response.Body()))
	}
	l.end(b, o, keep)
}

// Broken records what could not be read as a request, when its answer is there, likewise.
func (l *Log) Broken(r *exchange.Request, c *config.Access) {
	keep := keeps(c, r.Response.StatusCode())
	if !keep && !l.Followed() {
		return
	}
	b := lines.Get().(*[]byte)
	*b = appendBroken((*b)[:0], r, time.Now())
	l.end(b, exchange.Outcome{Bytes: int64(len(r.Response.Body()))}, keep)
}

// keeps tells whether an answer is among those that are logged.
func keeps(c *config.Access, status int) bool {
	return c != nil && (c.Sample >= 1 || c.Sample > 0 && (status >= 500 || rand.Float64() < c.Sample))
}

var lines = sync.Pool{New: func() any { b := make([]byte, 0, 1024); return &b }}

func (l *Log) end(b *[]byte, o exchange.Outcome, keep bool) {
	*b = appendEnd(*b, o)
	if l.Followed() {
		l.followers.tell(*b)
	}
	if keep {
		l.append(*b)
	}
	lines.Put(b)
}

func (l *Log) append(line []byte) {
	l.mu.Lock()
	if l.closed || len(l.held)+len(line) > mostHeld {
		l.mu.Unlock()
		l.Dropped.Inc()
		return
	}
	first := len(l.held) == 0
	before := len(l.held)
	l.held = append(l.held, line...)
	full := before < flushAt && len(l.held) >= flushAt
	if first || full {
		select {
		case l.wake <- struct{}{}:
		default:
		}
	}
	l.mu.Unlock()
}

// write takes what has gathered, at most every flushEvery unless there is much.
func (l *Log) write() {
	defer close(l.done)
	timer := time.NewTimer(0)
	<-timer.C
	failing := false
	for open := true; open; {
		_, open = <-l.wake
		if open && l.waiting() < flushAt {
			timer.Reset(flushEvery)
			select {
			case _, open = <-l.wake:
				timer.Stop()
			case <-timer.C:
			}
		}
		l.mu.Lock()
		lines, out := l.held, l.out
		l.held, l.spare = l.spare[:0], nil
		l.mu.Unlock()
		if len(lines) > 0 {
			_, err := out.Write(lines)
			if err != nil && !failing {
				l.log.Error("access log cannot be written", "error", err)
			}
			failing = err != nil
		}
		l.mu.Lock()
		l.spare = lines[:0]
		l.mu.Unlock()
	}
}

func (l *Log) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}
