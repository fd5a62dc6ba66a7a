// Package websocket is the server's side of RFC 6455 and permessage-deflate (RFC 7692) without any I/O: the handshake's check and
// answer, a reader that turns bytes into messages however they are cut, and functions that append frames.
package websocket

import "fmt"

// Op is a frame's opcode.
type Op uint8

const (
	Continuation Op = 0x0 // never the Op of a Message; there it means: none yet
	Text         Op = 0x1
	Binary       Op = 0x2
	Close        Op = 0x8
	Ping         Op = 0x9
	Pong         Op = 0xA
)

// Code is a close code.
type Code uint16

const (
	NormalClosure      Code = 1000
	GoingAway          Code = 1001
	ProtocolError      Code = 1002
	Unsupported        Code = 1003
	NoCode             Code = 1005 // a close frame without a code; never on the wire
	InvalidPayload     Code = 1007
	PolicyViolation    Code = 1008
	TooBig             Code = 1009
	MandatoryExtension Code = 1010
	InternalError      Code = 1011
	ServiceRestart     Code = 1012
	TryAgainLater      Code = 1013
)

// valid tells whether a peer may send the code.
func (c Code) valid() bool {
	switch {
	case c >= 1000 && c <= 1003, c >= 1007 && c <= 1014, c >= 3000 && c <= 4999:
		return true
	}
	return false
}

// Error is why a connection must be closed: answer with AppendClose(dst, e.Code, e.Reason).
type Error struct {
	Code   Code
	Reason string
}

func (e *Error) Error() string { return fmt.Sprintf("websocket: %s (%d)", e.Reason, e.Code) }

func violation(reason string) error { return &Error{ProtocolError, reason} }
