package frame

import "io"

const (
	small = 64 << 10 // the buffer a reader starts with and returns to
	large = 1 << 20  // a buffer over this is given back once a smaller frame fits again
)

// Frame is one frame; Body is valid until the next call of Next.
type Frame struct {
	Kind   Kind
	Stream uint64
	Body   []byte
}

// Reader reads frames with one reused buffer and as few reads as possible.
type Reader struct {
	from       io.Reader
	buf        []byte
	start, end int // what was read and not yet handed out
}

// NewReader reads frames from r.
func NewReader(r io.Reader) *Reader { return &Reader{from: r, buf: make([]byte, small)} }

// Next returns the next frame. The error is io.EOF at the end between frames, io.ErrUnexpectedEOF inside one, or wraps ErrMalformed.
func (r *Reader) Next() (Frame, error) {
	if err := r.fill(HeaderSize); err != nil {
		return Frame{}, err
	}
	h, err := ParseHeader(r.buf[r.start:])
	if err != nil {
		return Frame{}, err
	}
	size := HeaderSize + int(h.Length)
	if err := r.fill(size); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return Frame{}, err
	}
	body := r.buf[r.start+HeaderSize : r.start+size : r.start+size]
	r.start += size
	return Frame{Kind: h.Kind, Stream: h.Stream, Body: body}, nil
}

// Waiting tells whether a whole frame (or a malformed one) is in the buffer, so that Next returns without reading.
func (r *Reader) Waiting() bool {
	if r.end-r.start < HeaderSize {
		return false
	}
	h, err := ParseHeader(r.buf[r.start:])
	return err != nil || r.end-r.start >= HeaderSize+int(h.Length)
}

// fill makes at least n bytes available at start.
func (r *Reader) fill(n int) error {
	if r.end-r.start >= n {
		return nil
	}
	switch {
	case r.start == r.end && len(r.buf) > large && n <= small:
		r.buf, r.start, r.end = make([]byte, small), 0, 0
	case r.start == r.end:
		r.start, r.end = 0, 0
	}
	for r.end-r.start < n {
		if len(r.buf)-r.start < n {
			// A body grows the buffer as its bytes arrive, so that an announced length alone costs no memory.
			if held := r.buf[r.start:r.end]; len(held) == len(r.buf) {
				r.buf = make([]byte, min(n, 2*len(r.buf)))
				copy(r.buf, held)
			} else if r.start > 0 {
				r.start, r.end = 0, copy(r.buf, held)
			}
		}
		got, err := r.from.Read(r.buf[r.end:])
		r.end += got
		if r.end-r.start >= n {
			return nil
		}
		if err != nil {
			if err == io.EOF && r.end > r.start {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}
