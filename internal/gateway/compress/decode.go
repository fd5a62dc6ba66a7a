package compress

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// maxWindow is what a zstd body may look back on; RFC 9659 allows no more.
const maxWindow = 8 << 20

// free is how much a body may grow whatever the ratio.
const free = 1 << 20

// decoderMemory is what one decoder holds at most, in bytes: the largest window that the encoding has, and buffers.
var decoderMemory = [encodings]int64{zstandard: maxWindow + 1<<20, brotlis: 16<<20 + 256<<10, gzips: 64 << 10}

// admit lets the body of a request be decoded where it is read. An encoding that is not known stays as it is.
func (p *policy) admit(r *exchange.Request) error {
	e, ok := named(r.Request.Header.ContentEncoding())
	if !ok || e == identity {
		return nil
	}
	d := &decoder{set: p.encoders, encoding: e, ratio: p.ratio, memory: p.memory}
	r.OnDone(func(exchange.Outcome) { d.release() })
	r.Decode(func(from io.Reader) io.Reader { d.from.Reader = from; return d })
	return nil
}

// decoder is a body of a request that is decoded while it is read.
type decoder struct {
	set      *Encoders
	encoding encoding
	ratio    int64
	memory   int64

	mu      sync.Mutex
	over    atomic.Bool // the request has ended, maybe while its body was read
	from    counted
	to      io.Reader // nil before the first Read
	written int64
	held    int64
	err     error
}

// Read implements io.Reader. Its errors are HR4080, HR4081, HR4082, or those of the body.
func (d *decoder) Read(p []byte) (int, error) {
	d.mu.Lock()
	n, err := d.read(p)
	d.mu.Unlock()
	if d.over.Load() {
		d.release()
	}
	return n, err
}

func (d *decoder) read(p []byte) (int, error) {
	if d.err == nil && d.to == nil {
		d.err = d.open()
	}
	if d.err != nil {
		return 0, d.err
	}
	n, err := d.to.Read(p)
	if d.written += int64(n); d.written > free+d.ratio*d.from.read {
		n, err = 0, problem.New("HR4080", "%d bytes of the body became more than %d", d.from.read, free+d.ratio*d.from.read)
	}
	if err != nil {
		d.end(err)
	}
	return n, d.err
}

// open is HR4081 if there is no memory for a decoder.
func (d *decoder) open() error {
	if need := decoderMemory[d.encoding]; d.set.take(need, d.memory) {
		d.held = need
	} else {
		d.set.Traffic.refused.Inc()
		return problem.New("HR4081", "encoders and decoders hold %d bytes of memory", d.set.held.Load())
	}
	var err error
	switch old := d.set.decoders[d.encoding].Get().(type) {
	case *zstd.Decoder:
		d.to, err = old, old.Reset(&d.from)
	case *brotli.Reader:
		d.to, err = old, old.Reset(&d.from)
	case *gzip.Reader:
		d.to, err = old, old.Reset(&d.from)
	default:
		switch d.encoding {
		case zstandard:
			d.to, err = zstd.NewReader(&d.from, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		case brotlis:
			d.to = brotli.NewReader(&d.from)
		default:
			z := new(gzip.Reader)
			d.to, err = z, z.Reset(&d.from)
		}
	}
	if err != nil {
		d.end(err)
	}
	return d.err
}

// end keeps the reason and gives the decoder back.
func (d *decoder) end(err error) {
	var known *problem.Error
	switch {
	case err == io.EOF:
	case d.from.err != nil && d.from.err != io.EOF:
		err = d.from.err
	case errors.As(err, &known):
	default:
		err = problem.New("HR4082", "the body is no %s: %w", names[d.encoding], err)
	}
	if err != io.EOF {
		d.set.Traffic.refused.Inc()
	}
	d.err = err
	d.giveBack()
}

// release is for a body that was not read to its end.
func (d *decoder) release() {
	d.over.Store(true)
	if !d.mu.TryLock() {
		return // Read does it
	}
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = io.ErrClosedPipe
	}
	d.giveBack()
}

func (d *decoder) giveBack() {
	d.set.held.Add(-d.held)
	d.held = 0
	if d.to != nil && d.encoding != brotlis { // a brotli decoder keeps its window, whatever that was
		d.set.decoders[d.encoding].Put(d.to)
	}
	d.to, d.from.Reader = nil, nil
}

// counted counts what is read, and remembers why that ended.
type counted struct {
	io.Reader
	read int64
	err  error
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}
