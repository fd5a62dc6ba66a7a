package history

import (
	"hash/maphash"
	"time"
)

// maxRests bounds what is remembered of channels that left the memory (about 64 bytes each).
const maxRests = 65_536

// acquire is the state of a channel, which stays in memory until release.
func (l *Log) acquire(name string) *channel {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acquireLocked(name)
}

func (l *Log) acquireLocked(name string) *channel {
	ch := l.channels[name]
	if ch == nil {
		ch = &channel{name: name, subject: l.prefix + escape(name)}
		ch.element = l.recent.PushFront(ch)
		l.channels[name] = ch
		l.evict(len(l.channels) > l.options.Load().Channels)
	} else {
		l.recent.MoveToFront(ch.element)
	}
	ch.pins++
	ch.used = time.Now()
	return ch
}

func (l *Log) release(ch *channel) {
	l.mu.Lock()
	ch.pins--
	l.mu.Unlock()
}

// charge counts the bytes of a ring that has changed.
func (l *Log) charge(ch *channel, bytes int) {
	l.mu.Lock()
	l.bytes += bytes - ch.charged
	ch.charged = bytes
	l.evict(l.bytes > l.options.Load().Memory)
	l.mu.Unlock()
}

// evict lets channels go that nobody uses, the longest unused first, until memory and number are within the options.
func (l *Log) evict(over bool) {
	if !over {
		return
	}
	o := l.options.Load()
	for e := l.recent.Back(); e != nil && (l.bytes > o.Memory || len(l.channels) > o.Channels); {
		ch := e.Value.(*channel)
		e = e.Prev()
		if ch.pins == 0 {
			l.forget(ch)
		}
	}
}

// evictIdle lets channels go that were not used for long.
func (l *Log) evictIdle(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := now.Add(-l.options.Load().Idle)
	for e := l.recent.Back(); e != nil; {
		ch := e.Value.(*channel)
		e = e.Prev()
		if ch.used.After(before) {
			return
		}
		if ch.pins == 0 {
			l.forget(ch)
		}
	}
}

// forget drops the state of a channel that nobody uses. What remains is enough to go on if all its messages expire before it
// is used again.
func (l *Log) forget(ch *channel) {
	l.recent.Remove(ch.element)
	delete(l.channels, ch.name)
	l.bytes -= ch.charged
	if !ch.loaded || ch.shown == (Position{Epoch: l.birth.epoch}) {
		return
	}
	if len(l.rests) >= maxRests {
		clear(l.rests)
		l.birth = newBirth()
	}
	l.rests[maphash.String(l.random, ch.name)] = ch.shown
}

// origin is where a channel without a message in the stream goes on.
func (l *Log) origin(name string) Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	hash := maphash.String(l.random, name)
	if rest, ok := l.rests[hash]; ok {
		delete(l.rests, hash)
		return rest
	}
	return Position{Epoch: l.birth.epoch}
}

// keeping does what has to be done from time to time.
func (l *Log) keeping() {
	tick := time.NewTicker(keepEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			l.evictIdle(now)
			l.keys.sweep(now)
			l.overdue(now)
		case <-l.quit:
			return
		}
	}
}

const keepEvery = time.Second
