// Package frame is the wire format between headrace and its workers: spec/frame.md, version 1. Nothing here reflects or
// copies a body; JSON bodies are left to the caller.
package frame

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Version is the only protocol version this package speaks.
const Version = 1

// HeaderSize is the length of a header in bytes.
const HeaderSize = 16

// MaxBody is the largest body of one frame in bytes.
const MaxBody = 16 << 20

// Kind says what a frame is; see spec/frame.md section 2.
type Kind uint8

// The kinds of version 1.
const (
	Hello Kind = iota + 1
	Welcome
	Task
	Batch
	Credit
	Progress
	Chunk
	Log
	Checkpoint
	Result
	Error
	Cancel
	Drain
	Ping
	Pong
	Request
	Reply
	Fork
	Forked
	Exited
	last = Exited
)

var names = [...]string{"", "hello", "welcome", "task", "batch", "credit", "progress", "chunk", "log", "checkpoint", "result", "error",
	"cancel", "drain", "ping", "pong", "request", "reply", "fork", "forked", "exited"}

// String is the kind's name in the spec.
func (k Kind) String() string {
	if k >= 1 && k <= last {
		return names[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// ErrMalformed is wrapped by every error about bytes that break the format.
var ErrMalformed = errors.New("malformed frame")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}

// MaxPing is the largest body of ping and pong in bytes.
const MaxPing = 1024

var byteOrderMark = []byte("\xef\xbb\xbf")

// Check refuses a body that the kind does not allow. Containers are checked by their walks.
func Check(kind Kind, body []byte) error {
	switch kind {
	case Task, Batch, Result:
		return nil
	case Credit:
		_, err := ParseCredit(body)
		return err
	case Drain:
		if len(body) > 0 {
			return malformed("drain has a body")
		}
		return nil
	case Ping, Pong:
		if len(body) > MaxPing {
			return malformed("%s of %d bytes is over the limit of %d", kind, len(body), MaxPing)
		}
		return nil
	}
	switch {
	case bytes.HasPrefix(body, byteOrderMark):
		return malformed("%s begins with a byte order mark", kind)
	case !utf8.Valid(body):
		return malformed("%s is not UTF-8", kind)
	case !json.Valid(body):
		return malformed("%s is not JSON", kind)
	}
	return nil
}

// Header is the first 16 bytes of a frame.
type Header struct {
	Length uint32 // of the body, bytes
	Kind   Kind
	Stream uint64 // number of the task, 0 if none
}

// ParseHeader reads the first HeaderSize bytes of b, which must be there.
func ParseHeader(b []byte) (Header, error) {
	h := Header{Length: binary.LittleEndian.Uint32(b), Kind: Kind(b[5]), Stream: binary.LittleEndian.Uint64(b[8:])}
	switch flags := binary.LittleEndian.Uint16(b[6:]); {
	case b[4] != Version:
		return h, malformed("version %d instead of %d", b[4], Version)
	case h.Kind == 0 || h.Kind > last:
		return h, malformed("unknown %s", h.Kind)
	case flags != 0:
		return h, malformed("unknown flags %#x", flags)
	case h.Length > MaxBody:
		return h, malformed("body of %d bytes is over the limit of %d", h.Length, MaxBody)
	}
	return h, nil
}

// Append appends a whole frame to dst.
func Append(dst []byte, kind Kind, stream uint64, body []byte) []byte {
	dst = Begin(dst, kind, stream)
	mark := len(dst)
	return End(append(dst, body...), mark)
}

// Begin appends a header whose length is filled in by End; the body is appended in between. The body starts at the length
// of what Begin returns: that is the mark which End needs.
func Begin(dst []byte, kind Kind, stream uint64) []byte {
	dst = append(dst, 0, 0, 0, 0, Version, byte(kind), 0, 0)
	return binary.LittleEndian.AppendUint64(dst, stream)
}

// End fills in the length of the frame whose body starts at mark.
func End(dst []byte, mark int) []byte {
	binary.LittleEndian.PutUint32(dst[mark-HeaderSize:], uint32(len(dst)-mark))
	return dst
}

// AppendCredit appends a credit frame.
func AppendCredit(dst []byte, tasks uint32) []byte {
	dst = Begin(dst, Credit, 0)
	mark := len(dst)
	return End(binary.LittleEndian.AppendUint32(dst, tasks), mark)
}

// ParseCredit reads the body of a credit frame.
func ParseCredit(body []byte) (uint32, error) {
	if len(body) != 4 {
		return 0, malformed("credit of %d bytes instead of 4", len(body))
	}
	return binary.LittleEndian.Uint32(body), nil
}
