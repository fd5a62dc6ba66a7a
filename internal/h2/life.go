package h2

import (
	"context"
	"time"
)

// life is the context of a request. It ends with the stream: when the handler has returned, the client has reset it, or the connection is gone.
// What is not exported is guarded by the lock of the connection.
type life struct {
	stream *stream
	done   chan struct{}
	after  map[*func()]struct{}
}

// Deadline implements context.Context.
func (l *life) Deadline() (time.Time, bool) { return time.Time{}, false }

// Value implements context.Context.
func (l *life) Value(key any) any { return l.stream.conn.base.Value(key) }

// Done implements context.Context.
func (l *life) Done() <-chan struct{} {
	c := l.stream.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.stream.over {
			close(l.done)
		}
	}
	return l.done
}

// Err implements context.Context.
func (l *life) Err() error {
	c := l.stream.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.stream.over {
		return context.Canceled
	}
	return nil
}

// AfterFunc is what package context asks for to spare a goroutine for each context that is derived.
func (l *life) AfterFunc(f func()) (stop func() bool) {
	c := l.stream.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if l.stream.over {
		go f()
		return func() bool { return false }
	}
	if l.after == nil {
		l.after = map[*func()]struct{}{}
	}
	key := &f
	l.after[key] = struct{}{}
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, there := l.after[key]
		delete(l.after, key)
		return there
	}
}

// end is called with the lock held.
func (l *life) end() {
	if l.done != nil {
		close(l.done)
	}
	for f := range l.after {
		go (*f)()
	}
	l.after = nil
}
