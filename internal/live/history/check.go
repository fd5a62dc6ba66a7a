package history

import (
	"context"
	"hash/maphash"
)

// Check is the position of the last publication that was committed, without taking the channel into memory. It is false if nothing is known of it,
// which means that nothing was published since this process began or since it was last asked for. With an external engine the stream is asked, and
// what other nodes published is known from then on. Problems: HR3050.
func (l *Log) Check(channel string) (at Position, known bool, err error) {
	l.mu.RLock()
	ch := l.channels[channel]
	if ch != nil {
		ch.pins.Add(1)
	}
	rest, rests := l.rests[maphash.String(l.random, channel)]
	l.mu.RUnlock()
	if ch == nil && l.external { // another node may have published in it
		ch = l.acquire(channel)
	}
	if ch == nil {
		return rest, rests, nil
	}
	defer l.release(ch)
	if l.external {
		ctx, cancel := context.WithTimeout(context.Background(), loadWait)
		defer cancel()
		if err := l.await(ctx, ch); err != nil {
			return Position{}, false, err
		}
		if err := l.look(ch); err != nil {
			return Position{}, false, unread(channel, err)
		}
	}
	ch.mu.RLock()
	defer ch.mu.RUnlock()
	return ch.shown, ch.shown.Epoch != "", nil
}

// look takes over what the stream has, unless publications of this node are on their way to it.
func (l *Log) look(ch *channel) error {
	m, err := l.last(ch)
	if err != nil {
		return err
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.busy || !ch.loaded || ch.shown != ch.stored.Position || m.seq <= ch.stored.seq {
		return nil
	}
	ch.adopt(m)
	ch.shown, ch.ring, ch.keyed = ch.stored.Position, ring{whole: m.removal}, false
	return nil
}
