package history

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// message is one stored message.
type message struct {
	data []byte
	seq  uint64
	at   time.Time
}

const directGet = "$JS.API.DIRECT.GET."

// getLast is the last message of a subject, or nil.
func (l *Log) getLast(ctx context.Context, subject string) (*message, error) {
	reply, err := l.conn.RequestWithContext(ctx, directGet+l.stream+"."+subject, nil)
	if err != nil {
		return nil, fmt.Errorf("history: read %s: %w", l.stream, err)
	}
	return l.parse(reply)
}

// getNext is the first message of a subject with at least this sequence, or nil.
func (l *Log) getNext(ctx context.Context, subject string, seq uint64) (*message, error) {
	body, err := json.Marshal(getRequest{Seq: seq, Next: subject})
	if err != nil {
		return nil, err
	}
	reply, err := l.conn.RequestWithContext(ctx, directGet+l.stream, body)
	if err != nil {
		return nil, fmt.Errorf("history: read %s: %w", l.stream, err)
	}
	return l.parse(reply)
}

type getRequest struct {
	Seq   uint64     `json:"seq,omitempty"`
	Next  string     `json:"next_by_subj,omitempty"`
	Batch int        `json:"batch,omitempty"`
	Bytes int        `json:"max_bytes,omitempty"`
	Since *time.Time `json:"start_time,omitempty"`
}

// parse reads a reply of Direct Get; nil for not found or the end of a batch.
func (l *Log) parse(reply *nats.Msg) (*message, error) {
	switch status := reply.Header.Get("Status"); status {
	case "":
	case "404", "204":
		return nil, nil
	default:
		return nil, fmt.Errorf("history: read %s: status %s %s", l.stream, status, reply.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return nil, fmt.Errorf("history: read %s: sequence: %w", l.stream, err)
	}
	at, err := time.Parse(time.RFC3339Nano, reply.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return nil, fmt.Errorf("history: read %s: time: %w", l.stream, err)
	}
	return &message{reply.Data, seq, at}, nil
}

// scanFrom is where a scan begins, at a sequence or at a time, and how many messages it is about to take; 0: not known.
type scanFrom struct {
	subject string
	seq     uint64
	since   time.Time
	expect  uint64
}

const (
	batchMessages = 256
	batchBytes    = 1 << 20
)

// scan calls f with the messages of a subject, oldest first, until it returns false or there are no more.
func (l *Log) scan(ctx context.Context, from scanFrom, f func(*message) (more bool, err error)) error {
	inbox := l.conn.NewInbox()
	replies := make(chan *nats.Msg, batchMessages+1) // a batch and its end
	sub, err := l.conn.ChanSubscribe(inbox, replies)
	if err != nil {
		return fmt.Errorf("history: read %s: %w", l.stream, err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	silence := time.NewTimer(loadWait)
	defer silence.Stop()
	request := getRequest{Seq: from.seq, Next: from.subject, Batch: batchMessages, Bytes: batchBytes}
	if from.expect > 0 {
		request.Batch = int(min(from.expect, batchMessages))
	}
	if !from.since.IsZero() {
		request.Since = &from.since
	} else {
		request.Seq = max(request.Seq, 1)
	}
	for {
		body, err := json.Marshal(request)
		if err != nil {
			return err
		}
		if err := l.conn.PublishRequest(directGet+l.stream, inbox, body); err != nil {
			return fmt.Errorf("history: read %s: %w", l.stream, err)
		}
		seen := uint64(0)
		for {
			var reply *nats.Msg
			select {
			case reply = <-replies:
			case <-ctx.Done():
				return ctx.Err()
			case <-l.quit:
				return errStopping()
			case <-silence.C:
				return fmt.Errorf("history: read %s: no answer after %s", l.stream, loadWait)
			}
			m, err := l.parse(reply)
			if err != nil {
				return err
			}
			if m == nil {
				break
			}
			seen = m.seq
			if more, err := f(m); err != nil || !more {
				return err
			}
		}
		if seen == 0 {
			return nil
		}
		silence.Reset(loadWait)
		request = getRequest{Seq: seen + 1, Next: from.subject, Batch: batchMessages, Bytes: batchBytes}
	}
}

// seek is the sequence of the publication with this offset, or of what follows where it was.
func (l *Log) seek(ctx context.Context, ch *channel, to Position, high uint64) (uint64, error) {
	low := uint64(1)
	for range 64 {
		if high <= low {
			break
		}
		middle := low + (high-low)/2
		m, err := l.getNext(ctx, ch.subject, middle)
		if err != nil {
			return 0, err
		}
		if m == nil {
			high = middle
			continue
		}
		r, err := parseRecord(m.data)
		if err != nil {
			return 0, err
		}
		switch {
		case r.epoch == to.Epoch && r.offset == to.Offset && !r.removal:
			return m.seq, nil
		case r.epoch == to.Epoch && r.offset > to.Offset:
			high = middle
		default: // earlier, or of an epoch that is over
			low = m.seq + 1
		}
	}
	return low, nil
}
