package jobs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// kind is the kind of a journal record. The numbers are on disk and never reused.
type kind uint8

const (
	recEnqueue    kind = 1 // a job was created: its spec
	recStart      kind = 2 // an attempt was handed to a worker
	recEnd        kind = 3 // the job reached a terminal state
	recFail       kind = 4 // an attempt failed and another will follow
	recInterrupt  kind = 5 // an attempt was cut short through no fault of the job
	recProgress   kind = 6 // bodies as in spec/frame.md
	recLog        kind = 7
	recChunk      kind = 8
	recCheckpoint kind = 9
	recCarry      kind = 10 // a live job written again, so that the journal below can be trimmed; also a retry by hand
	recQueue      kind = 11 // a queue was paused or resumed
	recCron       kind = 12 // a schedule began at this time, or skipped to it
	recKey        kind = 13 // an idempotency key carried over a trim
)

// record is one fact of the journal. Which fields count depends on the kind.
type record struct {
	kind    kind
	id      ID
	spec    *Spec  // enqueue, carry
	run     uint32 // fencing number: start, end, fail, interrupt
	state   State  // end
	body    []byte // result, event or attempt as JSON
	at      time.Time
	attempt *Attempt // start: worker; fail, end: how the attempt ended
	name    string   // queue, cron, key
	paused  bool
	hash    uint64 // key
	large   bool   // end: body refers to the blob that holds the result, and to those that the result refers to
	carried *carried
	events  uint32 // end, …: not stored; number of the job's event this record is
}

// carried is the part of a live job that its spec does not hold.
type carried struct {
	runs, failures, crashes uint32
	events                  uint32
	due                     time.Time
	checkpoint              []byte
	attempts                []byte  // JSON of the attempts so far
	history                 []Event // but the first
}

const (
	wireID = iota + 1
	wireSpec
	wireRun
	wireState
	wireBody
	wireAt
	wireAttempt
	wireName
	wirePaused
	wireHash
	wireRuns
	wireFailures
	wireCrashes
	wireEvents
	wireCheckpoint
	wireAttempts
	wireWorker
	wireDue
	wireEvent
	wireLarge
)

// appendRecord writes length, kind and fields.
func appendRecord(b []byte, r *record) []byte {
	start := len(b)
	b = append(b, 0, 0, 0, 0, byte(r.kind))
	if r.spec != nil {
		b = protowire.AppendTag(b, wireSpec, protowire.BytesType)
		mark := len(b)
		// Reserve a length of four bytes, which protobuf allows to be padded.
		b = append(b, 0x80, 0x80, 0x80, 0)
		b = r.spec.append(b)
		n := len(b) - mark - 4
		b[mark], b[mark+1], b[mark+2], b[mark+3] = byte(n)|0x80, byte(n>>7)|0x80, byte(n>>14)|0x80, byte(n>>21)&0x7f
	} else if r.id != (ID{}) {
		b = appendBytes(b, wireID, r.id[:])
	}
	b = appendUint(b, wireRun, uint64(r.run))
	b = appendUint(b, wireState, uint64(r.state))
	b = appendBytes(b, wireBody, r.body)
	b = appendTime(b, wireAt, r.at)
	if r.attempt != nil {
		if r.kind == recStart {
			b = appendString(b, wireWorker, r.attempt.Worker)
		} else {
			b = appendBytes(b, wireAttempt, r.attempt.json())
		}
	}
	b = appendString(b, wireName, r.name)
	b = appendBool(b, wirePaused, r.paused)
	b = appendUint(b, wireHash, r.hash)
	b = appendBool(b, wireLarge, r.large)
	if c := r.carried; c != nil {
		b = appendUint(b, wireRuns, uint64(c.runs))
		b = appendUint(b, wireFailures, uint64(c.failures))
		b = appendUint(b, wireCrashes, uint64(c.crashes))
		b = appendUint(b, wireEvents, uint64(c.events))
		b = appendBytes(b, wireCheckpoint, c.checkpoint)
		b = appendBytes(b, wireAttempts, c.attempts)
		b = appendTime(b, wireDue, c.due)
		for i := range c.history {
			b = appendBytes(b, wireEvent, c.history[i].append(nil))
		}
	}
	binary.LittleEndian.PutUint32(b[start:], uint32(len(b)-start-4))
	return b
}

var errTorn = errors.New("record is cut short")

// nextRecord splits the first record off b without reading its fields.
func nextRecord(b []byte) (k kind, fields, rest []byte, err error) {
	if len(b) < 5 {
		return 0, nil, nil, errTorn
	}
	n := binary.LittleEndian.Uint32(b)
	if n < 1 || uint64(n) > uint64(len(b)-4) {
		return 0, nil, nil, errTorn
	}
	return kind(b[4]), b[5 : 4+n], b[4+n:], nil
}

// parseRecord reads the fields of a record. Bytes point into fields, the spec is a copy.
func parseRecord(k kind, fields []byte) (record, error) {
	r := record{kind: k}
	if k < recEnqueue || k > recKey {
		return r, fmt.Errorf("unknown record kind %d", k)
	}
	var c carried
	err := eachField(fields, func(num protowire.Number, v uint64, raw []byte) (err error) {
		switch num {
		case wireID:
			err = setID(&r.id, raw)
		case wireSpec:
			if r.spec, err = parseSpec(raw); err == nil {
				r.id = r.spec.ID
			}
		case wireRun:
			r.run = uint32(v)
		case wireState:
			if v > uint64(Expired) {
				return fmt.Errorf("state %d", v)
			}
			r.state = State(v)
		case wireBody:
			r.body = raw
		case wireAt:
			r.at = fromNanos(v)
		case wireAttempt:
			r.attempt, err = parseAttempt(raw)
		case wireWorker:
			r.attempt = &Attempt{Worker: intern(raw)}
		case wireName:
			r.name = string(raw)
		case wirePaused:
			r.paused = v != 0
		case wireLarge:
			r.large = v != 0
		case wireHash:
			r.hash = v
		case wireRuns:
			c.runs = uint32(v)
		case wireFailures:
			c.failures = uint32(v)
		case wireCrashes:
			c.crashes = uint32(v)
		case wireEvents:
			c.events = uint32(v)
		case wireCheckpoint:
			c.checkpoint = raw
		case wireAttempts:
			c.attempts = raw
		case wireDue:
			c.due = fromNanos(v)
		case wireEvent:
			var e Event
			e, err = parseEvent(raw)
			c.history = append(c.history, e)
		}
		return err
	})
	if err != nil {
		return r, err
	}
	if k == recCarry {
		r.carried = &c
	}
	if (k == recEnqueue || k == recCarry) && r.spec == nil {
		return r, errors.New("record without a spec")
	}
	return r, nil
}
