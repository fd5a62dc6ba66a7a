package h2

import (
	"encoding/binary"
	"sync"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const (
	mostOut  = 64 << 10 // bytes that may wait before handlers do
	mostKept = 1 << 20  // bytes of control frames that a client may leave untaken
)

// output is what is to be written. All of it is guarded by the lock of the connection.
type output struct {
	out      *[]byte // nil: nothing
	flushing bool    // somebody writes and will take what is there when done
	broken   bool    // nothing can be written any more
	dated    time.Time
	block    blockBuffer
	encoder  *hpack.Encoder
}

// blockBuffer is a compressed head.
type blockBuffer []byte

func (b *blockBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 4<<10); return &b }}

func (c *conn) open() {
	c.encoder = hpack.NewEncoder(&c.block)
	c.encoder.SetMaxDynamicTableSizeLimit(tableSize)
	c.windows = windows{send: defaultWindow, initial: defaultWindow, frame: minFrame, receive: connWindow}
}

// What follows is called with c.mu held.

func (c *conn) pending() int {
	if c.out == nil {
		return 0
	}
	return len(*c.out)
}

// frame appends the head of a frame; its payload follows at once.
func (c *conn) frame(kind http2.FrameType, flags http2.Flags, stream uint32, length int) {
	if c.out == nil {
		c.out = buffers.Get().(*[]byte)
	}
	*c.out = append(*c.out, byte(length>>16), byte(length>>8), byte(length), byte(kind), byte(flags))
	*c.out = binary.BigEndian.AppendUint32(*c.out, stream)
}

func (c *conn) word(v uint32) { *c.out = binary.BigEndian.AppendUint32(*c.out, v) }

func (c *conn) settings(list ...http2.Setting) {
	c.frame(http2.FrameSettings, 0, 0, 6*len(list))
	for _, s := range list {
		*c.out = binary.BigEndian.AppendUint16(*c.out, uint16(s.ID))
		c.word(s.Val)
	}
}

func (c *conn) windowUpdate(stream uint32, n int) {
	c.frame(http2.FrameWindowUpdate, 0, stream, 4)
	c.word(uint32(n))
}

func (c *conn) reset(stream uint32, code http2.ErrCode) {
	c.frame(http2.FrameRSTStream, 0, stream, 4)
	c.word(uint32(code))
}

func (c *conn) goAway(last uint32, code http2.ErrCode) {
	c.frame(http2.FrameGoAway, 0, 0, 8)
	c.word(last)
	c.word(uint32(code))
}

func (c *conn) ping(data [8]byte, ack bool) {
	flags := http2.Flags(0)
	if ack {
		flags = http2.FlagPingAck
	}
	c.frame(http2.FramePing, flags, 0, len(data))
	*c.out = append(*c.out, data[:]...)
}

// head appends c.block as the head, or the trailers, of a stream.
func (c *conn) head(stream uint32, end bool) {
	kind, flags := http2.FrameHeaders, http2.Flags(0)
	if end {
		flags = http2.FlagHeadersEndStream
	}
	for b := c.block; ; {
		n := min(len(b), c.windows.frame)
		if n == len(b) {
			flags |= http2.FlagHeadersEndHeaders
		}
		c.frame(kind, flags, stream, n)
		*c.out = append(*c.out, b[:n]...)
		if b = b[n:]; len(b) == 0 {
			break
		}
		kind, flags = http2.FrameContinuation, 0
	}
	c.block = c.block[:0]
}

func (c *conn) data(stream uint32, p []byte, end bool) {
	flags := http2.Flags(0)
	if end {
		flags = http2.FlagDataEndStream
	}
	c.frame(http2.FrameData, flags, stream, len(p))
	*c.out = append(*c.out, p...)
}

// kick has what waits written by somebody else than the caller, which is the reader and must not wait for the client.
func (c *conn) kick() {
	if c.out == nil || c.broken {
		return
	}
	if c.flushing {
		if c.pending() > mostKept {
			c.fail()
		}
		return
	}
	c.flushing = true
	go func() {
		c.mu.Lock()
		c.write()
		c.mu.Unlock()
	}()
}

// flush writes what waits, unless somebody does.
func (c *conn) flush() {
	if !c.flushing {
		c.flushing = true
		c.write()
	}
}

// write gives the lock back while it writes.
func (c *conn) write() {
	for c.out != nil && !c.broken {
		b := c.out
		c.out = nil
		if now := time.Now(); now.Sub(c.dated) > c.server.options.IdleTimeout/16 {
			c.dated = now
			_ = c.nc.SetWriteDeadline(now.Add(c.server.options.IdleTimeout))
		}
		c.mu.Unlock()
		_, err := c.nc.Write(*b)
		if cap(*b) <= mostOut {
			*b = (*b)[:0]
			buffers.Put(b)
		}
		c.mu.Lock()
		if err != nil {
			c.fail()
		}
		c.tell()
	}
	c.flushing = false
	c.tell()
	c.quit()
}

// fail ends a connection that takes nothing.
func (c *conn) fail() {
	c.broken = true
	c.tell()
	_ = c.nc.Close() // ends the reader
}
