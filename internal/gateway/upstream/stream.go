package upstream

import (
	"errors"
	"io"
	"math"

	"github.com/valyala/fasthttp"
)

// errClosed is that of a body that is read after it was closed.
var errClosed = errors.New("the body is closed")

// unknown is the size of a body that ends with the connection.
const unknown = math.MaxInt64

// Stream is the body of an answer as it comes. The connection goes back when its last byte was read, or is closed if Close comes before.
type Stream struct {
	k       *conn // nil when it is over
	keep    bool
	chunked bool
	chunks  chunks
	left    int64 // if not chunked
	trailer func(name, value []byte)
	err     error // of the next Read
}

// stream makes the body of the answer a Stream.
func (k *conn) stream(h *head, call *Call, resp *fasthttp.Response, keep bool) {
	resp.ResetBody()
	h.fill(&resp.Header, false)
	s := &Stream{k: k, keep: keep, chunked: h.chunked, left: h.length, trailer: call.Trailer}
	s.chunks.limit = k.client.options.MaxHead
	if !h.chunked && h.length < 0 {
		s.left, s.keep = unknown, false
	}
	call.Stream, call.Size = s, h.length
	k.skip()
	s.settle()
}

// Read implements io.Reader. It returns what has come and does not wait for more. Its errors are io.EOF and *Error.
func (s *Stream) Read(p []byte) (int, error) {
	if s.err != nil || len(p) == 0 {
		return 0, s.err
	}
	const small = 4 << 10 // not worth a read of its own
	if !s.chunked && s.k.w == s.k.r && len(p) >= small {
		return s.direct(p[:min(int64(len(p)), s.left)])
	}
	part, err := s.part(len(p))
	if err != nil {
		return 0, err
	}
	n := copy(p, part)
	s.took(n)
	return n, nil
}

// WriteTo implements io.WriterTo. What w refuses is returned as w has said it.
func (s *Stream) WriteTo(w io.Writer) (int64, error) {
	written := int64(0)
	for s.err == nil {
		part, err := s.part(math.MaxInt)
		if err != nil {
			break
		}
		n, err := w.Write(part)
		written += int64(n)
		if err == nil && n < len(part) {
			err = io.ErrShortWrite
		}
		if err != nil {
			s.end(err, false)
			return written, err
		}
		s.took(n)
	}
	if s.err == io.EOF {
		return written, nil
	}
	return written, s.err
}

// Close gives up on what was not read, and the connection with it. It may be called more than once.
func (s *Stream) Close() error {
	if s.k != nil {
		s.end(&Error{Stage: Body, Sent: true, Err: errClosed}, false)
	}
	return nil
}

// part is the next piece of the body, at most most bytes. It is in the buffer of the connection until it is taken.
func (s *Stream) part(most int) ([]byte, error) {
	k := s.k
	for {
		if b := k.buffered(); len(b) > 0 {
			if !s.chunked {
				return b[:min(int64(len(b)), int64(most), s.left)], nil
			}
			data, n, err := s.chunks.next(b, most)
			if err != nil {
				s.end(bodyFailure(err), false)
				return nil, s.err
			}
			if k.r += n - len(data); len(data) > 0 {
				return data, nil
			}
			k.use(0)
		}
		if s.settle(); s.err != nil {
			return nil, s.err
		}
		if err := k.receive(k.idle()); err != nil {
			s.fail(err)
			return nil, s.err
		}
	}
}

// direct reads without a buffer.
func (s *Stream) direct(p []byte) (int, error) {
	n, err := s.k.read(p)
	if n > 0 {
		if s.left != unknown {
			s.left -= int64(n)
		}
		s.settle()
		return n, nil
	}
	s.fail(err)
	return 0, s.err
}

// took takes n bytes of a part.
func (s *Stream) took(n int) {
	s.k.use(n)
	if !s.chunked && s.left != unknown {
		s.left -= int64(n)
	}
	s.settle()
}

// settle ends the stream when its last byte was taken, so that the connection is free as soon as it can be.
func (s *Stream) settle() {
	if s.err != nil {
		return
	}
	if !s.chunked {
		if s.left == 0 {
			s.end(io.EOF, s.keep)
		}
		return
	}
	if b := s.k.buffered(); len(b) > 0 {
		_, n, err := s.chunks.next(b, 0)
		if err != nil {
			s.end(bodyFailure(err), false)
			return
		}
		s.k.use(n)
	}
	if s.chunks.state == atEnd {
		if failed := s.k.trailers(&s.chunks, s.trailer); failed != nil {
			s.end(failed, false)
			return
		}
		s.end(io.EOF, s.keep)
	}
}

// fail ends the stream with an error of the connection.
func (s *Stream) fail(err error) {
	if err == io.EOF && !s.chunked && s.left == unknown && (s.k.below == nil || !s.k.below.ended) {
		s.end(io.EOF, false)
		return
	}
	s.end(bodyFailure(err), false)
}

// end is done with the connection. Only the first call counts.
func (s *Stream) end(err error, keep bool) {
	if s.k == nil {
		return
	}
	k := s.k
	s.k, s.err = nil, err
	k.done(keep)
}
