package jobs

import (
	"fmt"
	"time"
	"unique"

	"google.golang.org/protobuf/encoding/protowire"
)

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	if len(v) == 0 {
		return b
	}
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendString(b []byte, num protowire.Number, v string) []byte {
	if v == "" {
		return b
	}
	return protowire.AppendString(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendUint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}

func appendBool(b []byte, num protowire.Number, v bool) []byte {
	return appendUint(b, num, protowire.EncodeBool(v))
}

func appendTime(b []byte, num protowire.Number, t time.Time) []byte {
	if t.IsZero() {
		return b
	}
	return appendUint(b, num, uint64(t.UnixNano()))
}

func fromNanos(v uint64) time.Time { return time.Unix(0, int64(v)) }

// eachField calls f with every varint and bytes field of b; raw points into b.
func eachField(b []byte, f func(num protowire.Number, v uint64, raw []byte) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var raw []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			raw, n = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("field %d has wire type %d", num, kind)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(num, v, raw); err != nil {
			return fmt.Errorf("field %d: %w", num, err)
		}
	}
	return nil
}

func setID(id *ID, raw []byte) error {
	if len(raw) != len(id) {
		return fmt.Errorf("id of %d bytes", len(raw))
	}
	copy(id[:], raw)
	return nil
}

// intern keeps one copy of names that occur in every record.
func intern(raw []byte) string { return unique.Make(string(raw)).Value() }
