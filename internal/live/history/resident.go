package history

import (
	"hash/maphash"
	"maps"
	"slices"
	"time"
)

// maxRests bounds what is remembered of channels that left the memory (about 64 bytes each).
const maxRests = 65_536

// touchEvery is how exact the order of the last use is.
const touchEvery = time.Second

// acquire is the state of a channel, which stays in memory until release. Channels in use are found without a lock that
// excludes others: thousands of clients may recover one channel at once.
func (l *Log) acquire(name string) *channel {
	l.mu.RLock()
	ch := l.channels[name]
	if ch != nil {
		ch.pins.Add(1)
	}
	l.mu.RUnlock()
	now := time.Now()
	if ch != nil && now.UnixNano()-ch.used.Load() < int64(touchEvery) {
		return ch
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ch == nil {
		ch = l.enlist(name)
	} else {
		l.recent.MoveToFront(ch.element)
	}
	ch.used.Store(now.UnixNano())
	return ch
}

// enlist makes the state of a channel unless somebody else was faster; mu is locked.
func (l *Log) enlist(name string) *channel {
	ch := l.channels[name]
	if ch == nil {
		ch = &channel{name: name, subject: l.prefix + escape(name)}
		ch.element = l.recent.PushFront(ch)
		l.channels[name] = ch
	}
	ch.pins.Add(1)
	if len(l.channels) > l.options.Load().Channels {
		l.evict()
	}
	return ch
}

func (l *Log) release(ch *channel) { ch.pins.Add(-1) }

// charge counts the bytes of a ring that has changed.
func (l *Log) charge(ch *channel, bytes int) {
	held := l.bytes.Add(int64(bytes) - ch.charged.Swap(int64(bytes)))
	if held > int64(l.options.Load().Memory) {
		l.mu.Lock()
		l.evict()
		l.mu.Unlock()
	}
}

// evict lets channels go that nobody uses, the longest unused first, until memory and number are within the options.
func (l *Log) evict() {
	o := l.options.Load()
	for e := l.recent.Back(); e != nil && (l.bytes.Load() > int64(o.Memory) || len(l.channels) > o.Channels); {
		ch := e.Value.(*channel)
		e = e.Prev()
		if ch.pins.Load() == 0 {
			l.forget(ch)
		}
	}
}

// evictIdle lets channels go that were not used for long.
func (l *Log) evictIdle(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := now.Add(-l.options.Load().Idle).UnixNano()
	for e := l.recent.Back(); e != nil; {
		ch := e.Value.(*channel)
		e = e.Prev()
		if ch.used.Load() > before {
			return
		}
		if ch.pins.Load() == 0 {
			l.forget(ch)
		}
	}
}

// forget drops the state of a channel that nobody uses. What remains is enough to go on if all its messages expire before it
// is used again.
func (l *Log) forget(ch *channel) {
	l.recent.Remove(ch.element)
	delete(l.channels, ch.name)
	l.bytes.Add(-ch.charged.Load())
	if !ch.loaded || ch.shown == (Position{Epoch: l.birth.epoch}) {
		return
	}
	if len(l.rests) >= maxRests {
		clear(l.rests)
		l.birth = newBirth()
	}
	l.rests[maphash.String(l.random, ch.name)] = ch.shown
}

// trimAll brings what is in memory to the options.
func (l *Log) trimAll(o *Options) {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.channels))
	for _, ch := range all {
		ch.pins.Add(1)
	}
	l.mu.Unlock()
	now := time.Now()
	for _, ch := range all {
		ch.mu.Lock()
		ch.ring.trim(o, now)
		bytes := ch.ring.bytes
		ch.mu.Unlock()
		l.charge(ch, bytes)
		l.release(ch)
	}
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
