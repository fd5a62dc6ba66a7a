package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

const (
	bitFin  = 0x80
	bitRsv1 = 0x40
	bitMask = 0x80
)

// MaxHeader is the longest header of a frame that a server sends, in bytes.
const MaxHeader = 10

// AppendHeader appends the header of an unfragmented frame with length bytes of payload.
func AppendHeader(dst []byte, op Op, length int) []byte {
	return appendHeader(dst, bitFin|byte(op), length)
}

func appendHeader(dst []byte, first byte, length int) []byte {
	switch {
	case length <= 125:
		return append(dst, first, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(dst, first, 126), uint16(length))
	default:
		return binary.BigEndian.AppendUint64(append(dst, first, 127), uint64(length))
	}
}

// AppendFrame appends an unfragmented frame. The payload of a Text frame must be UTF-8, that of a control frame at most 125 bytes.
func AppendFrame(dst []byte, op Op, payload []byte) []byte {
	return append(AppendHeader(dst, op, len(payload)), payload...)
}

// AppendClose appends a close frame. The reason is cut to 123 bytes; NoCode gives an empty frame.
func AppendClose(dst []byte, code Code, reason string) []byte {
	if code == NoCode || code == 0 {
		return AppendHeader(dst, Close, 0)
	}
	if len(reason) > 123 {
		cut := 123
		for !utf8.RuneStart(reason[cut]) {
			cut--
		}
		reason = reason[:cut]
	}
	dst = binary.BigEndian.AppendUint16(AppendHeader(dst, Close, 2+len(reason)), uint16(code))
	return append(dst, reason...)
}
