package upstream

import "sync"

// bufferSize is that of all buffers. A head that is larger gets a buffer of its own, which is not kept.
const bufferSize = 64 << 10

// buffer is memory for a piece of traffic and for what a head in it says. A connection has one only while there are bytes to hold.
type buffer struct {
	b    []byte
	head head
}

var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, bufferSize)} }}

func borrow() *buffer { return buffers.Get().(*buffer) }

func (b *buffer) giveBack() {
	if len(b.b) == bufferSize {
		buffers.Put(b)
	}
}
