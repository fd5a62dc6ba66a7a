package history

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/problem"
)

// Position is a place in the history of a channel: after the publication with this offset. The epoch changes when offsets begin
// again at 1.
type Position struct {
	Offset uint64
	Epoch  string
}

// Publish is what to publish. The publication is not changed; what it points to must not be changed afterwards either.
type Publish struct {
	Channel        string
	Publication    *protocol.Publication
	Idempotency    string        // a publication with the same key in the same channel is stored once; empty: none; at most 1 KiB
	IdempotencyTTL time.Duration // how long the key is known; default 5 min, at most 1 h
	Version        uint64        // of the data: skipped when not above that of the publication before; 0: none
	VersionEpoch   string        // versions are compared within the same one
}

const (
	maxKey       = 1 << 10
	maxTries     = 20  // of a message that another node was faster with
	headerMargin = 256 // bytes a message may be larger than its data
)

// Publish stores a publication and returns its position once it is committed and delivered. It is false with the position of
// the first publication when the idempotency key was used before, and with the last position when the version is not newer.
// Problems: HR3050 (the engine did not take it, or stops), HR3051 (channel name), HR3052 (too large), HR5001, HR5002. After an
// error of ctx it is not known whether it was stored.
func (l *Log) Publish(ctx context.Context, p Publish) (at Position, stored bool, err error) {
	if p.Publication == nil {
		return Position{}, false, problem.New("HR3050", "there is no publication").At(p.Channel)
	}
	if len(p.Idempotency) > maxKey || len(p.VersionEpoch) > maxKey {
		return Position{}, false, problem.New("HR3052", "idempotency key or version epoch has more than %d bytes", maxKey).At(p.Channel)
	}
	it := &item{publication: clone(p.Publication), key: p.Idempotency, keyTTL: p.IdempotencyTTL}
	if it.keyTTL <= 0 {
		it.keyTTL = defaultKeyTTL
	}
	it.keyTTL = min(it.keyTTL, maxKeyTTL)
	it.version, it.versionEpoch = p.Version, p.VersionEpoch
	if it.record.body, err = it.publication.MarshalCF(); err != nil {
		return Position{}, false, problem.New("HR3050", "publication cannot be encoded: %w", err).At(p.Channel)
	}
	return l.store(ctx, p.Channel, it)
}

// Remove removes all publications of a channel; its next one has offset 1 in a new epoch. It returns when that is committed.
// Problems as of Publish.
func (l *Log) Remove(ctx context.Context, channel string) error {
	_, _, err := l.store(ctx, channel, &item{})
	return err
}

func (l *Log) store(ctx context.Context, channel string, it *item) (Position, bool, error) {
	if err := checkChannel(channel); err != nil {
		return Position{}, false, err
	}
	if err := l.admit(it, channel); err != nil {
		return Position{}, false, err
	}
	it.done = make(chan struct{})
	if !l.begin() {
		l.queued.Add(-int64(len(it.record.body)))
		return Position{}, false, errStopping()
	}
	ch := l.acquire(channel)
	it.ch = ch
	ch.mu.Lock()
	ch.queue = append(ch.queue, it)
	if !ch.busy {
		ch.busy = true
		l.next(ch)
	}
	ch.mu.Unlock()
	select {
	case <-it.done:
		return it.position, it.err == nil && !it.skipped, it.err
	case <-ctx.Done():
		return Position{}, false, fmt.Errorf("history: it is not known whether the publication was stored: %w", ctx.Err())
	}
}

// begin counts an item that Stop waits for, until finish; false once Stop was called.
func (l *Log) begin() bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.stopping {
		return false
	}
	l.pending.Add(1)
	return true
}

func errStopping() error { return problem.New("HR3050", "the history is stopping") }

// admit refuses what cannot be stored now, and counts the bytes of what can.
func (l *Log) admit(it *item, channel string) error {
	if failure := l.failed.Load(); failure != nil {
		return failure
	}
	if err := l.engine.Admit(); err != nil {
		return err
	}
	size := len(it.record.body)
	if most := l.conn.MaxPayload() - headerMargin - int64(len(it.key)+len(it.versionEpoch)); most > 0 && int64(size) > most {
		return problem.New("HR3052", "publication has %d bytes, the engine takes %d", size, most).At(channel)
	}
	if queued, most := l.queued.Add(int64(size)), int64(l.options.Load().Queue); queued > most && queued > int64(size) {
		l.queued.Add(-int64(size))
		return problem.New("HR3050", "%d bytes of publications wait to be stored", queued-int64(size)).At(channel)
	}
	return nil
}

// next sends the next item of a channel that has none on its way, or sees to what must be there first. The channel is locked and busy.
func (l *Log) next(ch *channel) {
	for {
		if len(ch.queue) == 0 {
			ch.busy, ch.queue = false, nil
			return
		}
		it := ch.queue[0]
		if failure := l.failed.Load(); failure != nil {
			l.pop(ch)
			l.finish(it, failure)
			continue
		}
		if !ch.loaded {
			l.load(ch)
			return
		}
		if it.key != "" && !ch.keyed {
			go l.loadKeys(ch)
			return
		}
		if at, skip := l.skips(ch, it); skip {
			l.pop(ch)
			it.position, it.skipped = at, true
			l.fifo.push(it)
			continue
		}
		if !l.flight.enter(it) {
			return // the flight comes back to the channel
		}
		l.pop(ch)
		if err := l.send(ch, it); err != nil {
			l.flight.take(it.token)
			go l.readmit()
			l.finish(it, problem.New("HR3050", "publication was not stored: %w", err).At(ch.name))
			continue
		}
		return
	}
}

func (l *Log) pop(ch *channel) {
	ch.queue[0] = nil
	ch.queue = ch.queue[1:]
}

// skips tells whether the item must not be stored: its key was used, or its version is not newer.
func (l *Log) skips(ch *channel, it *item) (Position, bool) {
	if it.key != "" {
		if at, ok := l.keys.find(ch.name, it.key, time.Now()); ok {
			return at, true
		}
	}
	if it.version > 0 && it.versionEpoch == ch.stored.versionEpoch && it.version <= ch.stored.version {
		return ch.stored.Position, true
	}
	return Position{}, false
}

// prepare completes the record of what is stored next.
func (it *item) prepare(ch *channel) {
	r := &it.record
	r.id = rand.Uint64()
	if it.publication == nil {
		r.removal, r.epoch = true, newEpoch()
		return
	}
	r.offset, r.epoch = ch.stored.Offset+1, ch.stored.Epoch
	it.publication.Offset = r.offset
	r.version, r.versionEpoch = it.version, it.versionEpoch
	if it.version == 0 {
		r.version, r.versionEpoch = ch.stored.version, ch.stored.versionEpoch
	}
	if it.key != "" {
		r.key, r.keyUntil = it.key, time.Now().Add(it.keyTTL)
	}
}

// landed notes that the item is the last message of the channel now. The channel is locked.
func (l *Log) landed(ch *channel, it *item, seq uint64) {
	r := &it.record
	it.position, it.at = Position{r.offset, r.epoch}, time.Now()
	ch.stored = tip{it.position, seq, r.version, r.versionEpoch}
	if r.key != "" {
		l.keys.add(ch.name, r.key, keyUse{it.position, r.keyUntil}, l.options.Load().Keys)
	}
	l.fifo.push(it)
}

// finish ends an item; its channel may leave the memory.
func (l *Log) finish(it *item, err error) {
	l.queued.Add(-int64(len(it.record.body)))
	l.release(it.ch)
	it.err = err
	close(it.done)
	l.pending.Done()
}
