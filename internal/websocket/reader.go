package websocket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Limits are what a Reader allows; one value serves all connections that negotiated the same.
type Limits struct {
	Message int  // bytes of one message, also after inflating; beyond it the error has the code TooBig. 0: no limit
	Deflate bool // permessage-deflate was negotiated
}

// Message is what Next gives. Op is Text, Binary, Close, Ping or Pong, or zero when the bytes end before the next message does.
type Message struct {
	Op   Op
	Data []byte // of a Close: the reason
	Code Code   // of a Close; NoCode when it has none
}

// Reader makes messages of a client's bytes. The zero Reader is not usable; between messages it holds two words and no memory.
type Reader struct {
	limits *Limits
	part   *part
}

// part is a message in progress.
type part struct {
	data    []byte
	checked int // bytes of data that are known to be UTF-8
	left    int // bytes of the current frame that have not come
	key     uint32
	op      Op
	fin     bool // the current frame is the last
	deflate bool
}

// NewReader returns a reader for one connection.
func NewReader(l *Limits) Reader { return Reader{limits: l} }

// Next returns the next message of b and the number of bytes used. Call it again with what follows until the message's Op is zero;
// bytes that it does not use then (part of a header or of a control frame, at most 131) are to come again with more behind them.
// It writes to the bytes it uses: Data may point into b. An error is always an *Error and final.
func (r *Reader) Next(b []byte) (m Message, n int, err error) {
	for {
		if p := r.part; p != nil && p.left > 0 {
			k := min(p.left, len(b)-n)
			if err := r.take(b[n : n+k]); err != nil {
				return Message{}, n, err
			}
			if n += k; p.left > 0 {
				return Message{}, n, nil
			}
		}
		if p := r.part; p != nil && p.fin {
			r.part = nil
			m, err := r.finish(p.op, p.data, p.checked, p.deflate)
			return m, n, err
		}
		h, size, err := parseHeader(b[n:])
		if err == nil && size > 0 {
			err = r.admit(h)
		}
		if err != nil || size == 0 {
			return Message{}, n, err
		}
		begin := n + size
		whole := h.length <= len(b)-begin
		if h.op >= Close {
			if !whole {
				return Message{}, n, nil
			}
			data := b[begin : begin+h.length]
			unmask(data, h.key)
			m, err := control(h.op, data)
			return m, begin + h.length, err
		}
		if r.part == nil {
			if whole && h.fin {
				data := b[begin : begin+h.length]
				unmask(data, h.key)
				m, err := r.finish(h.op, data, 0, h.rsv1)
				return m, begin + h.length, err
			}
			r.part = &part{op: h.op, deflate: h.rsv1}
		}
		r.part.left, r.part.key, r.part.fin = h.length, h.key, h.fin
		n = begin
	}
}

// take adds payload to the message in progress.
func (r *Reader) take(b []byte) error {
	p := r.part
	p.key = unmask(b, p.key)
	p.left -= len(b)
	p.data = append(p.data, b...) // never by the announced length, which costs the peer nothing
	if p.op == Text && !p.deflate {
		n, ok := checkText(p.data[p.checked:])
		if p.checked += n; !ok {
			return errText
		}
	}
	return nil
}

var errText = &Error{InvalidPayload, "text is not UTF-8"}

// finish makes a message of its whole payload.
func (r *Reader) finish(op Op, data []byte, checked int, deflated bool) (Message, error) {
	if deflated {
		var err error
		if data, err = inflate(data, r.limits.Message); err != nil {
			return Message{}, err
		}
	}
	if op == Text && !utf8.Valid(data[checked:]) {
		return Message{}, errText
	}
	return Message{Op: op, Data: data}, nil
}

// admit checks what a header means at this place.
func (r *Reader) admit(h header) error {
	switch {
	case h.rsv1 && (!r.limits.Deflate || h.op >= Close || h.op == Continuation):
		return violation("reserved bit 1 is set")
	case h.op >= Close:
		return nil
	case h.op == Continuation && r.part == nil:
		return violation("continuation without a beginning")
	case h.op != Continuation && r.part != nil:
		return violation("new message inside a fragmented one")
	}
	have := 0
	if r.part != nil {
		have = len(r.part.data)
	}
	if limit := r.limits.Message; limit > 0 && h.length > limit-have {
		return &Error{TooBig, "message is too big"}
	}
	return nil
}

type header struct {
	op        Op
	fin, rsv1 bool
	length    int
	key       uint32
}

// parseHeader returns a size of 0 while the header is not whole. What is wrong already is an error at once.
func parseHeader(b []byte) (h header, size int, err error) {
	if len(b) < 2 {
		return h, 0, nil
	}
	h.op, h.fin, h.rsv1 = Op(b[0]&0xf), b[0]&bitFin != 0, b[0]&bitRsv1 != 0
	length := uint64(b[1] &^ bitMask)
	size = 6
	switch {
	case b[0]&0x30 != 0:
		return h, 0, violation("reserved bit 2 or 3 is set")
	case h.op > Binary && h.op < Close || h.op > Pong:
		return h, 0, violation("reserved opcode")
	case b[1]&bitMask == 0:
		return h, 0, violation("frame is not masked")
	case h.op >= Close && !h.fin:
		return h, 0, violation("control frame is fragmented")
	case h.op >= Close && length > 125:
		return h, 0, violation("control frame is longer than 125 bytes")
	case length == 126:
		size = 8
	case length == 127:
		size = 14
	}
	if len(b) < size {
		return h, 0, nil
	}
	switch size {
	case 8:
		if length = uint64(binary.BigEndian.Uint16(b[2:])); length < 126 {
			return h, 0, violation("length is not minimal")
		}
	case 14:
		if length = binary.BigEndian.Uint64(b[2:]); length <= 0xffff || length>>63 != 0 {
			return h, 0, violation("length is not minimal or over 63 bits")
		}
	}
	h.length, h.key = int(length), binary.LittleEndian.Uint32(b[size-4:])
	return h, size, nil
}

func control(op Op, data []byte) (Message, error) {
	if op != Close {
		return Message{Op: op, Data: data}, nil
	}
	switch len(data) {
	case 0:
		return Message{Op: Close, Code: NoCode}, nil
	case 1:
		return Message{}, violation("close frame of one byte")
	}
	code := Code(binary.BigEndian.Uint16(data))
	if !code.valid() {
		return Message{}, violation("invalid close code")
	}
	if !utf8.Valid(data[2:]) {
		return Message{}, errText
	}
	return Message{Op: Close, Code: code, Data: data[2:]}, nil
}
