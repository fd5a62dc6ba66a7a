package exchange

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/problem"
)

// Limit is how large a body may be in bytes, and who says so.
type Limit struct {
	size   int64
	policy bool
	key    string
}

// LimitedBy names the key of the configuration that the sizes given to Fits, Body, Stream and their kin come from, for the hint of HR1003:
// server.max_body if it is empty, as before the first call.
func (r *Request) LimitedBy(key string) { r.limits = key }

// Bound makes size the limit of the body for everybody who reads it with a larger one, and refuses a body that announces more: HR1003. It is
// max_body of a policy.
func (r *Request) Bound(size int64) error {
	r.bound = size
	return r.Within(size)
}

// Limit is what is left of a limit by Bound.
func (r *Request) Limit(size int64) Limit {
	if r.bound > 0 && r.bound <= size {
		return Limit{size: r.bound, policy: true}
	}
	return Limit{size: size, key: r.limits}
}

// Allows tells whether a body may have so many bytes.
func (l Limit) Allows(n int64) bool { return n <= l.size }

// Exceeded is HR1003, with the key that has the limit.
func (l Limit) Exceeded() error {
	p := problem.New("HR1003", "the body is larger than %d bytes", l.size)
	switch {
	case l.policy:
		return p.Hinting("send less, or raise max_body of the route or its policy")
	case l.key != "":
		return p.Hinting("send less, or raise %s", l.key)
	}
	return p
}

// Within refuses a body that announces more than limit bytes, before it is read: HR1003. It may be in an encoding.
func (r *Request) Within(limit int64) error {
	if l := r.Limit(limit); !l.Allows(int64(r.Request.Header.ContentLength())) {
		return l.Exceeded()
	}
	return nil
}

// Fits is Within for those who read the body: one in an encoding that nobody decodes is HR1008.
func (r *Request) Fits(limit int64) error {
	if err := r.Within(limit); err != nil {
		return err
	}
	if encoding := r.Request.Header.ContentEncoding(); len(encoding) > 0 && !bytes.EqualFold(encoding, []byte("identity")) {
		return problem.New("HR1008", "the body is encoded as %.40q", encoding).Hinting("send the body without Content-Encoding")
	}
	return nil
}

// Body reads a whole body of at most limit bytes into memory of its own: HR1003 if it is larger, HR1004 if it is cut.
func (r *Request) Body(limit int64) ([]byte, error) { return r.body(limit, nil) }

// body appends to into.
func (r *Request) body(limit int64, into []byte) ([]byte, error) {
	if err := r.Fits(limit); err != nil {
		return nil, err
	}
	length := int(r.Length())
	if length == 0 {
		return into, nil
	}
	stream := r.Stream(limit)
	if length < 0 {
		b := bytes.NewBuffer(into)
		_, err := b.ReadFrom(stream)
		return b.Bytes(), err
	}
	if cap(into) < length {
		into = make([]byte, 0, length)
	}
	into = into[:length]
	if _, err := io.ReadFull(stream, into); err != nil {
		if errors.Is(err, io.EOF) {
			err = shortBody()
		}
		return nil, err
	}
	return into, nil
}

// bodies are buffers for bodies that are taken apart; what is kept of them is copied.
var bodies = sync.Pool{New: func() any { b := make([]byte, 0, 64<<10); return &b }}

// Borrow is Body in memory that is used again after done was called.
func (r *Request) Borrow(limit int64) (body []byte, done func(), err error) {
	buffer := bodies.Get().(*[]byte)
	body, err = r.body(limit, (*buffer)[:0])
	if err != nil {
		bodies.Put(buffer)
		return nil, nil, err
	}
	return body, func() {
		if cap(body) <= 1<<20 {
			*buffer = body[:0]
		}
		bodies.Put(buffer)
	}, nil
}

// Stream is the body as it comes: HR1003 after limit bytes, HR1004 if it is cut. The time between two reads is bounded, not the whole.
func (r *Request) Stream(limit int64) io.Reader {
	if r.decode != nil {
		return &decoded{from: r.decode(r.raw(limit)), limit: r.Limit(limit)}
	}
	return r.raw(limit)
}

// raw is the body as the client sends it.
func (r *Request) raw(limit int64) io.Reader {
	from := r.RequestBodyStream()
	if from == nil {
		return bytes.NewReader(r.PostBody())
	}
	return &stream{request: r, from: from, left: int64(r.Request.Header.ContentLength()), limit: r.Limit(limit)}
}

type stream struct {
	request *Request
	from    io.Reader
	left    int64 // of the announced length; negative if there is none
	limit   Limit
	read    int64
	err     error
}

func (s *stream) Read(p []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	if s.left == 0 {
		s.err = io.EOF
		return 0, io.EOF
	}
	if s.left < 0 || s.left > prefetch || s.read > 0 {
		_ = s.request.SetReadDeadline(time.Now().Add(s.request.server.options.IdleTimeout))
	}
	n, err := s.from.Read(p)
	s.read += int64(n)
	chunked := s.left < 0
	if !chunked {
		s.left -= int64(n)
	}
	var network net.Error
	switch {
	case !s.limit.Allows(s.read):
		n, err = 0, s.limit.Exceeded()
	case err == nil:
	case errors.Is(err, io.EOF) && (chunked || s.left == 0):
		err = io.EOF
	case errors.As(err, &network) && network.Timeout():
		err = problem.New("HR1010", "the rest of the body did not come within %s", s.request.server.options.IdleTimeout)
	default:
		err = shortBody()
	}
	s.err = err
	return n, err
}

func shortBody() error { return problem.New("HR1004", "the body ended early") }

// cut tells whether an error of fasthttp says that the body ended early.
func cut(err error) bool {
	var chunk fasthttp.ErrBrokenChunk
	return errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &chunk)
}

// Media is the media type of the body without parameters, in lower case; "" if it has none.
func (r *Request) Media() string {
	media, _, _ := strings.Cut(string(r.Request.Header.ContentType()), ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// IsJSON tells whether the body says that it is JSON, or nothing at all. What curl -d says counts as nothing.
func (r *Request) IsJSON() bool {
	switch media := r.Media(); media {
	case "", "application/json", "application/x-www-form-urlencoded":
		return true
	default:
		return strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
	}
}
