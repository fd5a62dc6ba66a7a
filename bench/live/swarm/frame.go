package swarm

import (
	"encoding/binary"
	"errors"
)

// Opcodes of RFC 6455.
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

var (
	errFrame = errors.New("swarm: a frame that a server must not send here: fragmented, masked, or with an extension")
	errHuge  = errors.New("swarm: a message does not fit in the read buffer")
)

// Next takes one frame of a server off the front of b: its opcode, payload, and size on the wire, 0 if b does not hold it all. Only what
// the benchmarked servers send is known: whole messages without extensions.
func Next(b []byte) (opcode byte, payload []byte, size int, err error) {
	if len(b) < 2 {
		return 0, nil, 0, nil
	}
	if b[0]&0xf0 != 0x80 || b[1]&0x80 != 0 || b[0]&0x0f == 0 {
		return 0, nil, 0, errFrame
	}
	head, length := 2, uint64(b[1])
	switch length {
	case 126:
		if head = 4; len(b) < head {
			return 0, nil, 0, nil
		}
		length = uint64(binary.BigEndian.Uint16(b[2:]))
	case 127:
		if head = 10; len(b) < head {
			return 0, nil, 0, nil
		}
		length = binary.BigEndian.Uint64(b[2:])
	}
	if length > bufferSize-16 {
		return 0, nil, 0, errHuge
	}
	if size = head + int(length); len(b) < size {
		return 0, nil, 0, nil
	}
	return b[0] & 0x0f, b[head:size], size, nil
}

// Frame appends a frame of a client. The mask is zero, which is a mask that a server has to apply like any other.
func Frame(into []byte, opcode byte, payload []byte) []byte {
	into = append(into, 0x80|opcode)
	switch n := len(payload); {
	case n < 126:
		into = append(into, 0x80|byte(n))
	case n < 1<<16:
		into = binary.BigEndian.AppendUint16(append(into, 0x80|126), uint16(n))
	default:
		into = binary.BigEndian.AppendUint64(append(into, 0x80|127), uint64(n))
	}
	into = append(into, 0, 0, 0, 0)
	return append(into, payload...)
}

// Text appends a text message of a client.
func Text(into []byte, payload string) []byte { return Frame(into, opText, []byte(payload)) }
