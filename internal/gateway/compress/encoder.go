package compress

import (
	"io"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// piece is what is read of a body that streams before it is compressed and sent on.
const piece = 32 << 10

// effort is one encoder of a level.
type effort struct {
	level, window int   // window in bytes for zstd, in bits for br
	held          int64 // bytes of memory that one holds at most, as TestMemoryOfEncoders measures it
}

// efforts by level and encoding. Windows are small: bodies of an API are, and an encoder holds several windows for as long as its answer
// streams.
var efforts = map[string][encodings]effort{
	"fast":     {zstandard: {int(zstd.SpeedFastest), 128 << 10, 1 << 20}, brotlis: {2, 16, 1200 << 10}, gzips: {2, 0, 1300 << 10}},
	"balanced": {zstandard: {int(zstd.SpeedDefault), 256 << 10, 2100 << 10}, brotlis: {4, 18, 2000 << 10}, gzips: {5, 0, 1200 << 10}},
	"small":    {zstandard: {int(zstd.SpeedBetterCompression), 512 << 10, 5300 << 10}, brotlis: {6, 18, 3600 << 10}, gzips: {9, 0, 1600 << 10}},
}

// Encoders are the encoders and decoders of all policies, with the memory that those in use hold. The idle ones are the garbage
// collector's.
type Encoders struct {
	Traffic *Traffic // a prometheus.Collector

	held     atomic.Int64
	pools    map[string]*[encodings]sync.Pool // by level
	decoders [encodings]sync.Pool
}

// NewEncoders makes none yet.
func NewEncoders() *Encoders {
	s := &Encoders{pools: map[string]*[encodings]sync.Pool{}}
	for level := range efforts {
		s.pools[level] = &[encodings]sync.Pool{}
	}
	s.Traffic = newTraffic(&s.held)
	return s
}

// take reserves memory, unless more than most bytes would be in use.
func (s *Encoders) take(bytes, most int64) bool {
	if s.held.Add(bytes) > most {
		s.held.Add(-bytes)
		return false
	}
	return true
}

// writer is what the three encoders have in common.
type writer interface {
	io.WriteCloser
	Flush() error
	Reset(io.Writer)
}

// encoder is an encoder with the memory around it.
type encoder struct {
	writer
	out  buffer
	in   []byte // of a body that streams
	home *sync.Pool
	held int64
	set  *Encoders
}

// buffer collects what an encoder writes.
type buffer struct{ b []byte }

func (b *buffer) Write(p []byte) (int, error) { b.b = append(b.b, p...); return len(p), nil }

// get is an encoder that writes to its out, nil if most bytes of memory are in use.
func (s *Encoders) get(level string, e encoding, most int64) *encoder {
	f := efforts[level][e]
	if !s.take(f.held, most) {
		return nil
	}
	home := &s.pools[level][e]
	c, _ := home.Get().(*encoder)
	if c == nil {
		c = &encoder{home: home, held: f.held, set: s}
		switch e {
		case zstandard:
			c.writer, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.EncoderLevel(f.level)), zstd.WithWindowSize(f.window),
				zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
		case brotlis:
			c.writer = brotli.NewWriterOptions(nil, brotli.WriterOptions{Quality: f.level, LGWin: f.window})
		default:
			c.writer, _ = gzip.NewWriterLevel(nil, f.level)
		}
	}
	c.out.b = c.out.b[:0]
	return c
}

// put gives the encoder back.
func (c *encoder) put() {
	if cap(c.out.b) > 2*piece {
		c.out.b = nil
	}
	c.set.held.Add(-c.held)
	c.home.Put(c)
}

// whole is a body that was compressed at once; it is valid until put.
func (c *encoder) whole(body []byte) []byte {
	if z, ok := c.writer.(*zstd.Encoder); ok {
		c.out.b = z.EncodeAll(body, c.out.b)
		return c.out.b
	}
	c.Reset(&c.out)
	_, _ = c.Write(body)
	_ = c.Close()
	return c.out.b
}
