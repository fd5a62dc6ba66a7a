package history

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/problem"
)

// flight is what is on its way to the stream, over all channels.
type flight struct {
	mu      sync.Mutex
	items   map[uint64]*item // by token of the reply
	token   uint64
	bytes   int
	waiting []*channel // that have an item and found no room
}

// enter makes room for the item, or lets its channel wait.
func (f *flight) enter(it *item) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.full() {
		f.waiting = append(f.waiting, it.ch)
		return false
	}
	f.token++
	it.token, it.sent = f.token, time.Now()
	f.items[it.token] = it
	f.bytes += len(it.record.body)
	return true
}

// full does not look at the size of who comes next, so that a channel for which there was room is not sent back.
func (f *flight) full() bool { return len(f.items) >= maxFlying || f.bytes >= maxFlyingSize }

// take removes an item, or is nil when it was taken before.
func (f *flight) take(token uint64) *item {
	f.mu.Lock()
	defer f.mu.Unlock()
	it := f.items[token]
	if it != nil {
		delete(f.items, token)
		f.bytes -= len(it.record.body)
	}
	return it
}

// waiter is a channel that may try again, or nil.
func (f *flight) waiter() *channel {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.waiting) == 0 || f.full() {
		return nil
	}
	ch := f.waiting[0]
	f.waiting[0] = nil
	f.waiting = f.waiting[1:]
	return ch
}

// send publishes the item, whose reply comes to acknowledged. The channel is locked.
func (l *Log) send(ch *channel, it *item) error {
	it.prepare(ch)
	msg := &nats.Msg{Subject: ch.subject, Reply: l.inbox + strconv.FormatUint(it.token, 10), Data: it.record.append(make([]byte, 0, len(it.record.body)+96))}
	if it.record.removal {
		msg.Header = nats.Header{jetstream.MsgRollup: {jetstream.MsgRollupSubject}}
	}
	if l.external {
		if msg.Header == nil {
			msg.Header = nats.Header{}
		}
		msg.Header[jetstream.ExpectedLastSubjSeqHeader] = []string{strconv.FormatUint(ch.stored.seq, 10)}
	}
	return l.conn.PublishMsg(msg)
}

// answer is the reply of the stream.
type answer struct {
	Seq   uint64              `json:"seq"`
	Error *jetstream.APIError `json:"error"`
}

// acknowledged takes the replies of the stream.
func (l *Log) acknowledged(msg *nats.Msg) {
	token, err := strconv.ParseUint(msg.Subject[len(l.inbox):], 10, 64)
	if err != nil {
		return
	}
	it := l.flight.take(token)
	if it == nil {
		return
	}
	var reply answer
	switch {
	case len(msg.Data) == 0:
		err = fmt.Errorf("nobody stores the stream (status %s)", msg.Header.Get("Status"))
	case json.Unmarshal(msg.Data, &reply) != nil:
		err = fmt.Errorf("answer is not understood: %.100q", msg.Data)
	case reply.Error != nil:
		err = reply.Error
	}
	if err != nil {
		go l.doubt(it, err)
	} else {
		ch := it.ch
		ch.mu.Lock()
		l.landed(ch, it, reply.Seq)
		l.next(ch)
		ch.mu.Unlock()
	}
	l.readmit()
}

// readmit sends for the channels that wait for room.
func (l *Log) readmit() {
	for ch := l.flight.waiter(); ch != nil; ch = l.flight.waiter() {
		ch.mu.Lock()
		l.next(ch)
		ch.mu.Unlock()
	}
}

// doubt settles an item that was refused, or whose answer did not come: the last message of the channel tells. Nothing of the
// channel is sent before that is known, so that what failed leaves no hole.
func (l *Log) doubt(it *item, cause error) {
	ch := it.ch
	it.tries++
	last, err := l.last(ch)
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case err != nil:
		l.log.Warn("publication is lost sight of", "channel", ch.name, "error", cause, "then", err)
		ch.loaded = false // read it again before anything else is stored
		l.finish(it, refused(ch.name, cause))
	case last.id == it.record.id && last.seq > 0:
		l.landed(ch, it, last.seq)
	default:
		ch.adopt(last)
		var api *jetstream.APIError
		if errors.As(cause, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence && it.tries < maxTries {
			ch.queue = append([]*item{it}, ch.queue...)
			if it.tries > 1 { // the server refuses while a message of another node is on its way
				time.AfterFunc(rand.N(time.Duration(it.tries)*time.Millisecond), func() { l.resume(ch) })
				return
			}
		} else {
			l.finish(it, refused(ch.name, cause))
		}
	}
	l.next(ch)
}

func (l *Log) resume(ch *channel) {
	ch.mu.Lock()
	l.next(ch)
	ch.mu.Unlock()
}

func refused(channel string, cause error) error {
	return problem.New("HR3050", "publication was not stored: %w", cause).At(channel)
}

// overdue takes up items whose answer an external engine owes for long. The embedded one answers, however slow the disk is.
func (l *Log) overdue(now time.Time) {
	if !l.external {
		return
	}
	var late []*item
	l.flight.mu.Lock()
	for token, it := range l.flight.items {
		if now.Sub(it.sent) > answerWait {
			late = append(late, it)
			delete(l.flight.items, token)
			l.flight.bytes -= len(it.record.body)
		}
	}
	l.flight.mu.Unlock()
	for _, it := range late {
		go l.doubt(it, fmt.Errorf("no answer after %s", answerWait))
	}
	l.readmit()
}

const answerWait = 5 * time.Second

// abandon fails what is left when the connection is closed.
func (l *Log) abandon() {
	l.flight.mu.Lock()
	left := l.flight.items
	l.flight.items = map[uint64]*item{}
	l.flight.bytes = 0
	l.flight.mu.Unlock()
	for _, it := range left {
		it.ch.mu.Lock()
		l.finish(it, refused(it.ch.name, nats.ErrConnectionClosed))
		l.next(it.ch) // the connection is closed: the others fail as well
		it.ch.mu.Unlock()
	}
	l.readmit()
}
