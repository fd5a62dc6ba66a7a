// Package wire writes messages of the Centrifuge protocol the way a transport carries them: JSON or protobuf, as replies or as bare
// pushes, framed for WebSocket, SSE or a stream of lines.
package wire

import (
	"encoding/binary"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/websocket"
)

// Format is how the messages for a client are written. All clients of one format get the same bytes.
type Format uint8

// The parts that formats are made of. WebSocket framing is what is left when neither SSE nor Lines is set.
const (
	Protobuf Format = 1 << iota // else JSON
	Uni                         // pushes stand alone, without a reply around them
	SSE                         // events of text/event-stream
	Lines                       // JSON lines, or messages after their length
	Deflate                     // WebSocket frames are compressed

	Formats = 1 << iota // how many values a Format has
)

// WebSocket tells whether messages go in WebSocket frames.
func (f Format) WebSocket() bool { return f&(SSE|Lines) == 0 }

// Type is the encoding of the messages.
func (f Format) Type() protocol.Type {
	if f&Protobuf != 0 {
		return protocol.TypeProtobuf
	}
	return protocol.TypeJSON
}

// Push encodes a push without its frame. It is an error if data is not JSON where the format needs it.
func (f Format) Push(push *protocol.Push) ([]byte, error) {
	if f&Uni != 0 {
		return protocol.GetPushEncoder(f.Type()).Encode(push)
	}
	return protocol.GetReplyEncoder(f.Type()).Encode(&protocol.Reply{Push: push})
}

// Reply encodes a reply without its frame; on one-way formats there are none.
func (f Format) Reply(reply *protocol.Reply) ([]byte, error) {
	return protocol.GetReplyEncoder(f.Type()).Encode(reply)
}

var none [1][]byte

// Ping is the frame of an empty message.
func (f Format) Ping() []byte {
	if f&Protobuf != 0 {
		return f.Append(nil, none[0])
	}
	return f.Append(nil, []byte("{}"))
}

// Append frames messages that were encoded for this format. WebSocket puts them into one frame.
func (f Format) Append(b []byte, messages ...[]byte) []byte {
	switch {
	case f&SSE != 0:
		for _, m := range messages {
			b = append(b, "data: "...)
			b = append(b, m...)
			b = append(b, "\n\n"...)
		}
	case f&Lines != 0:
		b = f.join(b, messages)
		if f&Protobuf == 0 {
			b = append(b, '\n')
		}
	default:
		op := websocket.Text
		if f&Protobuf != 0 {
			op = websocket.Binary
		}
		payload := messages[0]
		if len(messages) > 1 || f&Protobuf != 0 {
			payload = f.join(nil, messages)
		}
		if f&Deflate != 0 {
			return websocket.AppendDeflated(b, op, payload)
		}
		b = websocket.AppendFrame(b, op, payload)
	}
	return b
}

// join puts messages behind each other, told apart as the protocol wants it.
func (f Format) join(b []byte, messages [][]byte) []byte {
	for i, m := range messages {
		if f&Protobuf != 0 {
			b = binary.AppendUvarint(b, uint64(len(m)))
		} else if i > 0 {
			b = append(b, '\n')
		}
		b = append(b, m...)
	}
	return b
}
