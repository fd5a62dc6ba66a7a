package h2

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2"
)

// stream is a request and its answer. What is not said otherwise is guarded by the lock of the connection.
type stream struct {
	conn *conn
	id   uint32
	req  *http.Request
	life life

	// Of the request.
	body      []byte // arrived and not read
	read      int    // of body
	receive   int    // bytes that the client may send
	owed      int    // bytes that were read and are not given back yet
	announced int64  // length of the body, -1 if it was not told
	arrived   int64  // of it
	received  bool   // whole
	closed    bool   // the handler reads no more
	readBy    deadline
	wantsBody bool        // the client waits for 100
	tail      http.Header // the trailers that have come; the handler gets them with the end of the body

	// Of the answer; those up to send belong to the handler.
	header   http.Header
	status   int
	length   int64 // that was announced, -1 if none was
	written  int64
	bodiless bool
	started  bool  // the head is on its way
	finished bool  // the last frame is on its way
	failed   bool  // the client did not take it in time
	send     int64 // bytes that the client takes
	writeBy  deadline
	over     bool // reset by either side, or the connection is gone
}

var errGone = errors.New("h2: the stream is over")

func newStream(c *conn, id uint32) *stream {
	return &stream{conn: c, id: id, receive: streamWindow, announced: -1, length: -1, send: c.initial, header: make(http.Header, 8)}
}

// request makes the request of a head; false if it is malformed, RFC 9113 section 8.
func (s *stream) request(f *http2.MetaHeadersFrame) bool {
	method, path, scheme := f.PseudoValue("method"), f.PseudoValue("path"), f.PseudoValue("scheme")
	host := f.PseudoValue("authority")
	if method == "" || f.PseudoValue("status") != "" {
		return false
	}
	var u *url.URL
	uri := path
	if method == http.MethodConnect {
		if path != "" || scheme != "" || host == "" {
			return false
		}
		u, uri = &url.URL{Host: host}, host
	} else {
		if path == "" || scheme != "http" && scheme != "https" {
			return false
		}
		var err error
		if u, err = url.ParseRequestURI(path); err != nil {
			return false
		}
	}
	fields := f.RegularFields()
	header := make(http.Header, len(fields))
	values := make([]string, len(fields))
	var cookies []string
	for i, field := range fields {
		switch field.Name {
		case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
			return false
		case "te":
			if field.Value != "trailers" {
				return false
			}
		case "cookie":
			cookies = append(cookies, field.Value)
			continue
		case "content-length":
			n, err := strconv.ParseUint(field.Value, 10, 63)
			if err != nil || s.announced >= 0 && s.announced != int64(n) {
				return false
			}
			s.announced = int64(n)
		case "expect":
			s.wantsBody = strings.EqualFold(field.Value, "100-continue") && !f.StreamEnded()
		}
		name := http.CanonicalHeaderKey(field.Name)
		if there := header[name]; there != nil {
			header[name] = append(there, field.Value)
			continue
		}
		values[i] = field.Value
		header[name] = values[i : i+1 : i+1]
	}
	if len(cookies) > 0 {
		header["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	if host == "" {
		host = header.Get("Host")
	}
	s.received = f.StreamEnded()
	if s.received && s.announced > 0 {
		return false
	}
	req := &http.Request{Method: method, URL: u, RequestURI: uri, Proto: "HTTP/2.0", ProtoMajor: 2, Header: header, Host: host, RemoteAddr: s.conn.remote, TLS: s.conn.tls,
		Body: http.NoBody}
	if !s.received {
		req.Body, req.ContentLength = (*body)(s), s.announced
		for _, list := range header["Trailer"] {
			for name := range strings.SplitSeq(list, ",") {
				if name = http.CanonicalHeaderKey(strings.TrimSpace(name)); httpguts.ValidTrailerHeader(name) {
					if req.Trailer == nil {
						req.Trailer = http.Header{}
					}
					req.Trailer[name] = nil
				}
			}
		}
		delete(header, "Trailer")
	}
	s.life.stream = s
	s.req = req.WithContext(&s.life)
	return true
}

// serve answers.
func (s *stream) serve() {
	c := s.conn
	aborted := true
	defer func() {
		if err := recover(); err != nil && err != http.ErrAbortHandler { //nolint:errorlint // a value, not an error that was wrapped
			c.server.options.Log.Error("panic", "remote", c.remote, "panic", err, "stack", string(debug.Stack()))
		}
		s.conclude(aborted)
	}()
	c.server.options.Handler.ServeHTTP((*writer)(s), s.req)
	aborted = false
}

// conclude ends the answer when the handler is done, or resets the stream.
func (s *stream) conclude(aborted bool) {
	var err error
	if !aborted {
		err = (*writer)(s).finish()
	}
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.over:
	case aborted || err != nil:
		s.cut(http2.ErrCodeInternal)
	case !s.received: // the client need not send the rest
		s.cut(http2.ErrCodeNo)
	}
	s.gone()
	s.drop()
	c.running--
	c.tell()
	c.flush()
	c.quit()
}

// What follows is called with the lock of the connection held.

// cut resets the stream.
func (s *stream) cut(code http2.ErrCode) {
	if s.over {
		return
	}
	s.conn.reset(s.id, code)
	s.gone()
	s.end(true)
}

// gone lets the handler know that nobody listens any more.
func (s *stream) gone() {
	if s.over {
		return
	}
	s.over = true
	s.life.end()
	s.conn.tell()
}

// drop forgets the stream, as far as the client is concerned.
func (s *stream) drop() { s.end(false) }

func (s *stream) end(ours bool) {
	c := s.conn
	if c.streams[s.id] != s {
		return
	}
	delete(c.streams, s.id)
	c.closed.add(s.id, ours)
	if rest := len(s.body) - s.read; rest > 0 {
		c.giveBack(rest)
	}
	s.body, s.read = nil, 0
}

// takeData is a piece of the body.
func (s *stream) takeData(f *http2.DataFrame) error {
	c, n, data := s.conn, int(f.Length), f.Data()
	fault := func(code http2.ErrCode) error {
		c.giveBack(n)
		return http2.StreamError{StreamID: s.id, Code: code}
	}
	if s.receive < n {
		return fault(http2.ErrCodeFlowControl)
	}
	s.arrived += int64(len(data))
	if s.announced >= 0 && (s.arrived > s.announced || f.StreamEnded() && s.arrived != s.announced) {
		return fault(http2.ErrCodeProtocol)
	}
	s.receive -= n
	s.received = f.StreamEnded()
	if s.closed {
		c.giveBack(n)
		c.kick()
	} else {
		if padding := n - len(data); padding > 0 {
			s.giveBack(padding)
		}
		if s.read > 0 && len(s.body)+len(data) > cap(s.body) {
			s.body = s.body[:copy(s.body, s.body[s.read:])]
			s.read = 0
		}
		s.body = append(s.body, data...)
	}
	c.tell()
	return nil
}

// giveBack lets the client send as much again as was read.
func (s *stream) giveBack(n int) {
	if !s.received {
		if s.owed += n; s.owed >= streamWindow/2 {
			s.conn.windowUpdate(s.id, s.owed)
			s.receive += s.owed
			s.owed = 0
		}
	}
	s.conn.giveBack(n)
	s.conn.kick()
}

// takeTrailers is a second head: that of the end of the body.
func (s *stream) takeTrailers(f *http2.MetaHeadersFrame) error {
	switch {
	case s.received && s.finished:
		return http2.ConnectionError(http2.ErrCodeStreamClosed)
	case s.received:
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeStreamClosed}
	case !f.StreamEnded(), len(f.PseudoFields()) > 0, s.announced >= 0 && s.arrived != s.announced:
		return http2.StreamError{StreamID: s.id, Code: http2.ErrCodeProtocol}
	}
	for _, field := range f.RegularFields() {
		name := http.CanonicalHeaderKey(field.Name)
		if _, known := s.req.Trailer[name]; known { // others are ignored
			if s.tail == nil {
				s.tail = http.Header{}
			}
			s.tail[name] = append(s.tail[name], field.Value)
		}
	}
	s.received = true
	s.conn.tell()
	return nil
}

// tooLong answers a head that is longer than what is taken.
func (s *stream) tooLong(ended bool) {
	c := s.conn
	s.field(":status", strconv.Itoa(http.StatusRequestHeaderFieldsTooLarge))
	c.head(s.id, true)
	if !ended {
		c.reset(s.id, http2.ErrCodeNo)
	}
	c.closed.add(s.id, true)
}

// deadline bounds the waiting of a handler.
type deadline struct {
	at    time.Time // zero is none
	timer *time.Timer
}

// passed tells whether it has come. If not, who waits is woken when it does.
func (d *deadline) passed(c *conn) bool {
	if d.at.IsZero() {
		return false
	}
	left := time.Until(d.at)
	if left <= 0 {
		return true
	}
	if d.timer == nil {
		d.timer = time.AfterFunc(left, func() {
			c.mu.Lock()
			c.tell()
			c.mu.Unlock()
		})
	} else {
		d.timer.Reset(left)
	}
	return false
}

// stop lets nobody be woken.
func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

// body is the body of the request. It is an io.ReadCloser.
type body stream

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	s := (*stream)(b)
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.wantsBody {
		s.wantsBody = false
		if !s.started && !s.over {
			s.field(":status", "100")
			c.head(s.id, false)
			c.kick()
		}
	}
	defer s.readBy.stop()
	for s.read == len(s.body) {
		switch {
		case s.closed:
			return 0, http.ErrBodyReadAfterClose
		case s.received:
			maps.Copy(s.req.Trailer, s.tail)
			s.tail = nil
			return 0, io.EOF
		case s.over:
			return 0, errGone
		case s.readBy.passed(c):
			return 0, errLate
		}
		c.wait()
	}
	n := copy(p, s.body[s.read:])
	if s.read += n; s.read == len(s.body) {
		s.body, s.read = s.body[:0], 0
		if cap(s.body) > 64<<10 {
			s.body = nil
		}
	}
	s.giveBack(n)
	return n, nil
}

// Close implements io.Closer. What still comes is thrown away.
func (b *body) Close() error {
	s := (*stream)(b)
	s.conn.mu.Lock()
	defer s.conn.mu.Unlock()
	if rest := len(s.body) - s.read; rest > 0 {
		s.giveBack(rest)
	}
	s.body, s.read, s.closed = nil, 0, true
	return nil
}
