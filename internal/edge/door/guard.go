package door

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/net/http2"
)

// guard counts what a client may not do without end on a connection with HTTP/2, as frames pass, and bounds the time that one may stay
// unfinished. The server behind it does the rest of the protocol.
type guard struct {
	net.Conn
	in     *bufio.Reader
	limits limits
	told   func() // that the client must calm down

	read, sent frames
	heading    bool // the frame that began last is part of a head
	whole      bool // and the last part
	dated      bool // the deadline is that of this head
	armed      bool // there is a deadline for reading
	last       uint32
	resets     rate
	control    rate

	writing sync.Mutex // held while sent is looked at
	calmed  bool       // no more is written
}

type limits struct {
	resets, control int           // within a second
	head, rest      time.Duration // for a head, for another frame
}

var errCalm = errors.New("the client must calm down")

// calmLinger is how long what still comes is thrown away, so that GOAWAY is not lost to a reset.
const calmLinger = 500 * time.Millisecond

// newGuard stands before a connection whose preface is still to come.
func newGuard(c net.Conn, l limits, told func()) *guard {
	return &guard{Conn: c, told: told, in: bufio.NewReaderSize(c, 4<<10), limits: l, read: frames{rest: len(http2.ClientPreface)}}
}

// Read implements net.Conn.
func (g *guard) Read(p []byte) (int, error) {
	if g.in.Buffered() == 0 {
		g.arm()
	}
	n, err := g.in.Read(p)
	now := time.Now()
	calm := true
	g.read.follow(p[:n], func(h []byte) { calm = g.count(h, now) && calm })
	if !calm {
		g.told()
		g.calm()
		return 0, io.EOF
	}
	return n, err
}

// arm bounds the wait for the rest of what has begun.
func (g *guard) arm() {
	var wait time.Duration
	switch {
	case g.heading && (!g.whole || g.read.inside()):
		if g.dated { // a head has one deadline, however it is cut
			return
		}
		wait, g.dated = g.limits.head, true
	case g.read.inside():
		wait = g.limits.rest
	}
	if wait > 0 {
		_ = g.Conn.SetReadDeadline(time.Now().Add(wait))
	} else if g.armed {
		_ = g.Conn.SetReadDeadline(time.Time{})
	}
	g.armed = wait > 0
}

// count looks at the head of a frame of the client; it is false if that is one too many.
func (g *guard) count(h []byte, now time.Time) bool {
	length := int(h[0])<<16 | int(h[1])<<8 | int(h[2])
	flags := http2.Flags(h[4])
	g.heading = false
	switch http2.FrameType(h[3]) {
	case http2.FrameHeaders:
		g.last = max(g.last, binary.BigEndian.Uint32(h[5:])&(1<<31-1))
		g.heading, g.whole, g.dated = true, flags.Has(http2.FlagHeadersEndHeaders), false
		return true
	case http2.FrameContinuation:
		g.heading, g.whole = true, flags.Has(http2.FlagContinuationEndHeaders)
		return g.control.count(now, g.limits.control)
	case http2.FrameRSTStream:
		return g.resets.count(now, g.limits.resets)
	case http2.FrameData:
		if length > 0 || flags.Has(http2.FlagDataEndStream) {
			return true
		}
	case http2.FrameWindowUpdate:
		return true
	case http2.FrameSettings, http2.FramePing:
		if flags.Has(http2.FlagSettingsAck) { // the flag of both
			return true
		}
	}
	return g.control.count(now, g.limits.control)
}

// calm ends the connection and says why, unless a frame is just on its way.
func (g *guard) calm() {
	_ = g.Conn.SetWriteDeadline(time.Now().Add(calmLinger)) // ends a write that waits for the client
	g.writing.Lock()
	if !g.calmed && !g.sent.inside() {
		frame := []byte{0, 0, 8, byte(http2.FrameGoAway), 0, 0, 0, 0, 0}
		frame = binary.BigEndian.AppendUint32(frame, g.last)
		frame = binary.BigEndian.AppendUint32(frame, uint32(http2.ErrCodeEnhanceYourCalm))
		_, _ = g.Conn.Write(frame)
	}
	g.calmed = true
	g.writing.Unlock()
	_ = g.Conn.SetReadDeadline(time.Now().Add(calmLinger))
	_, _ = io.Copy(io.Discard, g.Conn)
}

// Write implements net.Conn.
func (g *guard) Write(p []byte) (int, error) {
	g.writing.Lock()
	defer g.writing.Unlock()
	if g.calmed {
		return 0, errCalm
	}
	n, err := g.Conn.Write(p)
	g.sent.follow(p[:n], nil)
	return n, err
}

// frames knows where the frames of one direction begin and end.
type frames struct {
	rest int // of the payload
	head [9]byte
	have int // of head
}

// follow calls begin with the head of each frame that begins in b.
func (f *frames) follow(b []byte, begin func(head []byte)) {
	for len(b) > 0 {
		if f.rest > 0 {
			n := min(f.rest, len(b))
			f.rest -= n
			b = b[n:]
			continue
		}
		n := copy(f.head[f.have:], b)
		f.have += n
		b = b[n:]
		if f.have < len(f.head) {
			return
		}
		f.have = 0
		f.rest = int(f.head[0])<<16 | int(f.head[1])<<8 | int(f.head[2])
		if begin != nil {
			begin(f.head[:])
		}
	}
}

// inside tells whether a frame is unfinished.
func (f *frames) inside() bool { return f.rest > 0 || f.have > 0 }

// rate counts events of the current second.
type rate struct {
	since time.Time
	n     int
}

// count is false if there were more than most.
func (r *rate) count(now time.Time, most int) bool {
	if now.Sub(r.since) >= time.Second {
		r.since, r.n = now, 0
	}
	r.n++
	return r.n <= most
}
