package live

import (
	"context"
	"encoding/hex"
	"sync"

	"github.com/headrace/headrace/internal/live/fanout"
)

const (
	tailItems = 1024    // that wait for one who tails
	tailBytes = 8 << 20 // of their data
)

// Tail follows what is published in channels, without being one of their subscribers. It has no say over them: what comes while it is
// behind is left out and counted.
type Tail struct {
	remove func()
	wake   chan struct{} // has room for one

	mu     sync.Mutex
	items  []Tailed
	bytes  int
	missed uint64
}

// Tailed is what happened in a channel. The item must not be changed.
type Tailed struct {
	Channel string
	*fanout.Item
}

// Tail begins to follow the channels whose names match a pattern, with * for anything. Channels of sources are followed only while they
// have subscribers. It is to be closed.
func (l *Live) Tail(pattern string) *Tail {
	t := &Tail{wake: make(chan struct{}, 1)}
	t.remove = l.hub.Tap(func(channel string, i *fanout.Item) {
		if like(channel, pattern) {
			t.put(channel, i)
		}
	})
	return t
}

func (t *Tail) put(channel string, i *fanout.Item) {
	size := 0
	if i.Publication != nil {
		size = len(i.Publication.Data)
	}
	t.mu.Lock()
	if len(t.items) >= tailItems || t.bytes+size > tailBytes {
		t.missed++
	} else {
		t.items = append(t.items, Tailed{channel, i})
		t.bytes += size
	}
	t.mu.Unlock()
	select {
	case t.wake <- struct{}{}:
	default: // it knows
	}
}

// Next waits for what has come since the last call, and tells how much of what came after it had to be left out.
func (t *Tail) Next(ctx context.Context) (items []Tailed, missed uint64, err error) {
	for {
		t.mu.Lock()
		items, missed = t.items, t.missed
		t.items, t.bytes, t.missed = nil, 0, 0
		t.mu.Unlock()
		if len(items) > 0 || missed > 0 {
			return items, missed, nil
		}
		select {
		case <-t.wake:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
}

// Close ends it.
func (t *Tail) Close() { t.remove() }

// ClientOf is the client whose connect reply named a session; "" if there is none. Clients over SSE and HTTP streaming have one.
func (l *Live) ClientOf(session string) string {
	b, err := hex.DecodeString(session)
	if err != nil || len(b) != 32 {
		return ""
	}
	s := l.registry.find(clientID(b[:16]))
	if s == nil || s.transport != transportSSE && s.transport != transportStream || [16]byte(b[16:]) != s.more.secret {
		return ""
	}
	return s.id.String()
}

// Known is HR3010 for a channel that cannot be.
func (l *Live) Known(channel string) error {
	_, err := l.channel(channel)
	return err
}
