package compress

import "io"

// stream is a body that is compressed while it is read.
type stream struct {
	from    io.Reader
	encoder *encoder
	ready   []byte // what was not read yet
	err     error
}

func newStream(from io.Reader, e *encoder) *stream {
	if e.in == nil {
		e.in = make([]byte, piece)
	}
	e.Reset(&e.out)
	return &stream{from: from, encoder: e}
}

// Read implements io.Reader. All that the body gave so far can be read before it is asked for more: it may be long until there is more.
// A body that knows better says how many bytes are there already by a method Buffered.
func (s *stream) Read(p []byte) (int, error) {
	for len(s.ready) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		s.more()
	}
	n := copy(p, s.ready)
	s.ready = s.ready[n:]
	return n, nil
}

// more compresses one piece. An error of the body leaves the answer without its end, so that the client can tell.
func (s *stream) more() {
	e := s.encoder
	e.out.b = e.out.b[:0]
	n, err := s.from.Read(e.in)
	if n > 0 {
		_, s.err = e.Write(e.in[:n])
		e.set.Traffic.before.Add(float64(n))
	}
	switch {
	case s.err != nil:
	case err == io.EOF:
		if s.err = e.Close(); s.err == nil {
			s.err = io.EOF
		}
	case err != nil:
		if s.err = err; n > 0 {
			_ = e.Flush()
		}
	case n > 0 && !moreBuffered(s.from):
		s.err = e.Flush()
	}
	s.ready = e.out.b
	e.set.Traffic.after.Add(float64(len(s.ready)))
}

func moreBuffered(from io.Reader) bool {
	b, ok := from.(interface{ Buffered() int })
	return ok && b.Buffered() > 0
}

// Close implements io.Closer.
func (s *stream) Close() error {
	if s.encoder != nil {
		s.encoder.put()
		s.encoder, s.ready, s.err = nil, nil, io.ErrClosedPipe
	}
	if c, ok := s.from.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
