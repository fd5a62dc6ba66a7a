package websocket

import "sync"

// Prepared is a message that goes to many connections: each of its frames is made once. It may be used by many goroutines.
type Prepared struct {
	plain    []byte
	op       Op
	header   int
	once     sync.Once
	deflated []byte
}

// Prepare makes the plain frame of a message.
func Prepare(op Op, payload []byte) *Prepared {
	frame := AppendHeader(make([]byte, 0, MaxHeader+len(payload)), op, len(payload))
	return &Prepared{op: op, header: len(frame), plain: append(frame, payload...)}
}

// Frame returns the frame for a connection with or without permessage-deflate. It must not be changed.
func (p *Prepared) Frame(deflate bool) []byte {
	if !deflate {
		return p.plain
	}
	p.once.Do(func() { p.deflated = AppendDeflated(nil, p.op, p.plain[p.header:]) })
	return p.deflated
}
