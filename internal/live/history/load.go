package history

import (
	"context"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// last is the last message of a channel, and whether there is one: seq is 0 when there is none.
type last struct {
	record
	seq uint64
}

// loadWait bounds a question to the stream.
const loadWait = 10 * time.Second

func (l *Log) last(ch *channel) (last, error) {
	ctx, cancel := context.WithTimeout(context.Background(), loadWait)
	defer cancel()
	msg, err := l.getLast(ctx, ch.subject)
	if err != nil || msg == nil {
		return last{}, err
	}
	r, err := parseRecord(msg.data)
	return last{r, msg.seq}, err
}

// adopt takes over what the stream says of the channel. When it says nothing, the channel goes on where it was.
func (ch *channel) adopt(m last) {
	if m.seq == 0 {
		ch.stored.seq = 0
		return
	}
	ch.stored = tip{Position{m.offset, m.epoch}, m.seq, m.version, m.versionEpoch}
}

// load begins to read the state of the channel, which is locked; ch.loading ends with it. Who waits in the queue goes on then.
func (l *Log) load(ch *channel) {
	if ch.loading != nil {
		return
	}
	done := make(chan struct{})
	ch.loading = done
	ch.pins.Add(1) // it has one of who loads
	go func() {
		defer l.release(ch)
		m, err := l.last(ch)
		ch.mu.Lock()
		defer ch.mu.Unlock()
		ch.failure, ch.loading = err, nil
		if err == nil {
			l.loaded(ch, m)
		}
		close(done)
		if !ch.busy {
			return
		}
		for err != nil && len(ch.queue) > 0 {
			it := ch.queue[0]
			l.pop(ch)
			l.finish(it, unread(ch.name, err))
		}
		l.next(ch)
	}()
}

func (l *Log) loaded(ch *channel, m last) {
	ch.loaded = true
	if ch.shown.Epoch != "" { // it was lost sight of in between
		ch.adopt(m)
		return
	}
	origin := l.origin(ch.name)
	if m.seq == 0 {
		ch.stored = tip{Position: origin}
		ch.ring.whole = true
		ch.keyed = true
	} else {
		ch.adopt(m)
		ch.ring.whole = m.removal
	}
	ch.shown = ch.stored.Position
}

// loadKeys reads the keys of the channel's publications; the channel is busy meanwhile.
func (l *Log) loadKeys(ch *channel) {
	ctx, cancel := context.WithTimeout(context.Background(), loadWait)
	defer cancel()
	now := time.Now()
	limit := l.options.Load().Keys
	err := l.scan(ctx, scanFrom{subject: ch.subject, since: now.Add(-maxKeyTTL)}, func(m *message) (bool, error) {
		r, err := parseRecord(m.data)
		if err == nil && r.key != "" && now.Before(r.keyUntil) {
			l.keys.add(ch.name, r.key, keyUse{Position{r.offset, r.epoch}, r.keyUntil}, limit)
		}
		return true, err
	})
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if err != nil {
		it := ch.queue[0]
		l.pop(ch)
		l.finish(it, unread(ch.name, err))
	} else {
		ch.keyed = true
	}
	l.next(ch)
}

func unread(channel string, cause error) error {
	return problem.New("HR3050", "history cannot be read: %w", cause).At(channel)
}
