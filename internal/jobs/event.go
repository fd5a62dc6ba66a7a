package jobs

import (
	"bytes"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// Event is one entry of a job's history. Numbers count from 1 without gaps and survive restarts.
type Event struct {
	N    uint32
	At   time.Time
	Kind string // state, progress, log, chunk
	Data []byte // JSON
}

// Numbers of the fields of an event on the wire. They are never reused.
const (
	fieldN = iota + 1
	fieldAt
	fieldKind
	fieldData
)

func (e *Event) append(b []byte) []byte {
	b = appendUint(b, fieldN, uint64(e.N))
	b = appendTime(b, fieldAt, e.At)
	b = appendString(b, fieldKind, e.Kind)
	return appendBytes(b, fieldData, e.Data)
}

// parseEvent reads what append wrote. Bytes are copied.
func parseEvent(b []byte) (e Event, err error) {
	err = eachField(b, func(num protowire.Number, v uint64, raw []byte) error {
		switch num {
		case fieldN:
			e.N = uint32(v)
		case fieldAt:
			e.At = fromNanos(v)
		case fieldKind:
			e.Kind = intern(raw)
		case fieldData:
			e.Data = bytes.Clone(raw)
		}
		return nil
	})
	return e, err
}
