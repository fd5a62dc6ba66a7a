package websocket

import (
	"bytes"
	"io"
	"sync"

	"github.com/klauspost/compress/flate"
)

// tail ends a message's last block, which its sender has left off, and the deflate stream.
const tail = "\x00\x00\xff\xff\x01\x00\x00\xff\xff"

type inflater struct {
	source bytes.Reader
	end    bytes.Reader
	flate  io.ReadCloser
}

// Read gives the message, then the tail.
func (f *inflater) Read(b []byte) (int, error) {
	if f.source.Len() > 0 {
		return f.source.Read(b)
	}
	return f.end.Read(b)
}

// ReadByte spares flate a buffer of its own.
func (f *inflater) ReadByte() (byte, error) {
	if f.source.Len() > 0 {
		return f.source.ReadByte()
	}
	return f.end.ReadByte()
}

var inflaters = sync.Pool{New: func() any {
	f := &inflater{}
	f.flate = flate.NewReader(f)
	return f
}}

// inflate returns at most limit bytes, or an error with TooBig; limit 0 means none.
func inflate(b []byte, limit int) ([]byte, error) {
	f := inflaters.Get().(*inflater)
	defer inflaters.Put(f)
	f.source.Reset(b)
	f.end.Reset([]byte(tail))
	defer f.source.Reset(nil)
	f.flate.(flate.Resetter).Reset(f, nil)
	out := make([]byte, 0, max(3*len(b), 64))
	for {
		n, err := f.flate.Read(out[len(out):cap(out)])
		out = out[:len(out)+n]
		switch {
		case limit > 0 && len(out) > limit:
			return nil, &Error{TooBig, "message is too big"}
		case err == io.EOF:
			return out, nil
		case err != nil:
			return nil, &Error{InvalidPayload, "compressed data is broken"}
		}
		if len(out) == cap(out) {
			out = append(out, 0)[:len(out)]
		}
	}
}

type deflater struct {
	out   bytes.Buffer
	flate *flate.Writer
}

var deflaters = sync.Pool{New: func() any {
	d := &deflater{}
	d.flate, _ = flate.NewWriter(&d.out, flate.BestSpeed)
	return d
}}

// AppendDeflated appends a compressed frame for a connection that negotiated permessage-deflate, or a plain one where compressing
// does not make it smaller.
func AppendDeflated(dst []byte, op Op, payload []byte) []byte {
	d := deflaters.Get().(*deflater)
	defer deflaters.Put(d)
	d.out.Reset()
	d.flate.Reset(&d.out)
	d.flate.Write(payload)
	d.flate.Flush()
	b := d.out.Bytes()
	b = b[:len(b)-4] // 00 00 ff ff, which the peer adds
	if len(b) >= len(payload) {
		return AppendFrame(dst, op, payload)
	}
	return append(appendHeader(dst, bitFin|bitRsv1|byte(op), len(b)), b...)
}
