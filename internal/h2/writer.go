package h2

import (
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/net/http2/hpack"
)

var errLate = os.ErrDeadlineExceeded

// writer gives the answer. It implements http.ResponseWriter and what http.ResponseController asks for.
type writer stream

// Header implements http.ResponseWriter.
func (w *writer) Header() http.Header { return w.header }

// SetReadDeadline bounds the wait for the body.
func (w *writer) SetReadDeadline(at time.Time) error {
	w.conn.mu.Lock()
	defer w.conn.mu.Unlock()
	w.readBy.at = at
	w.conn.tell()
	return nil
}

// SetWriteDeadline bounds the wait for a client that does not take the answer.
func (w *writer) SetWriteDeadline(at time.Time) error {
	w.conn.mu.Lock()
	defer w.conn.mu.Unlock()
	w.writeBy.at = at
	w.conn.tell()
	return nil
}

// EnableFullDuplex does nothing: bodies pass both ways at once.
func (w *writer) EnableFullDuplex() error { return nil }

// WriteHeader implements http.ResponseWriter.
func (w *writer) WriteHeader(status int) {
	s := (*stream)(w)
	c := s.conn
	switch {
	case s.status != 0:
		return
	case status >= 100 && status < 200:
		c.mu.Lock()
		defer c.mu.Unlock()
		if !s.over && c.pending() <= mostOut { // a client that does not read is told no more than it must be
			s.compose(status)
			c.head(s.id, false)
			c.flush()
		}
		return
	}
	s.status = status
	s.bodiless = s.req.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
	if text := s.header["Content-Length"]; len(text) == 1 {
		if n, err := strconv.ParseInt(text[0], 10, 64); err == nil && n >= 0 {
			s.length = n
		} else {
			delete(s.header, "Content-Length")
		}
	}
}

// answering is the stream, with a status: 200 if none was given.
func (w *writer) answering() *stream {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return (*stream)(w)
}

// Write implements http.ResponseWriter. The last byte of an announced length is written with the end of the stream.
func (w *writer) Write(p []byte) (int, error) {
	s := w.answering()
	if s.bodiless {
		return 0, http.ErrBodyNotAllowed
	}
	if s.length >= 0 && s.written+int64(len(p)) > s.length {
		return 0, http.ErrContentLength
	}
	s.written += int64(len(p))
	last := s.written == s.length && !s.trails()
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.push(p, last)
}

// FlushError sends what was written.
func (w *writer) FlushError() error {
	s := w.answering()
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	if s.over {
		return errGone
	}
	s.start(false)
	c.flush()
	return nil
}

// finish ends the answer.
func (w *writer) finish() error {
	s := w.answering()
	c := s.conn
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case s.over, s.finished:
		return nil
	case s.failed:
		return errLate
	case !s.bodiless && s.length >= 0 && s.written != s.length:
		return http.ErrContentLength
	case s.trails():
		s.start(false)
		s.trailers()
		s.finished = true
		return nil
	}
	_, err := s.push(nil, true)
	return err
}

// trails tells whether something follows the body.
func (s *stream) trails() bool {
	if len(s.header["Trailer"]) > 0 {
		return true
	}
	for name := range s.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// What follows is called with the lock of the connection held.

// start sends the head, once.
func (s *stream) start(end bool) {
	if s.started {
		return
	}
	s.started = true
	s.compose(s.status)
	s.conn.head(s.id, end)
	s.finished = end
}

// push writes a piece of the body and waits for the client where it must.
func (s *stream) push(p []byte, last bool) (n int, err error) {
	c := s.conn
	if s.over {
		return 0, errGone
	}
	if s.start(last && len(p) == 0); s.finished {
		return 0, nil
	}
	defer s.writeBy.stop()
	for {
		for c.pending() > mostOut || len(p) > 0 && (s.send <= 0 || c.send <= 0) {
			switch {
			case s.over || c.broken:
				return n, errGone
			case !c.flushing && c.pending() > 0:
				c.flush()
				continue
			case s.writeBy.passed(c):
				s.failed = true
				return n, errLate
			}
			c.wait()
		}
		if s.over || c.broken {
			return n, errGone
		}
		take := int(min(int64(len(p)), s.send, c.send, int64(c.windows.frame)))
		if take == 0 && !last {
			return n, nil
		}
		s.finished = last && take == len(p)
		c.data(s.id, p[:take], s.finished)
		s.send -= int64(take)
		c.send -= int64(take)
		n += take
		if p = p[take:]; len(p) == 0 {
			return n, nil
		}
	}
}

// compose compresses a head.
func (s *stream) compose(status int) {
	s.field(":status", strconv.Itoa(status))
	dated := false
	for name, values := range s.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			continue
		}
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade":
			continue
		case "Date":
			dated = true
		}
		if !s.trailer(name) {
			s.fields(name, values)
		}
	}
	if !dated && status >= 200 {
		s.field("date", date())
	}
}

// trailers sends what follows the body.
func (s *stream) trailers() {
	for name, values := range s.header {
		if after, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			s.fields(after, values)
		} else if s.trailer(name) {
			s.fields(name, values)
		}
	}
	if len(s.conn.block) == 0 {
		s.conn.data(s.id, nil, true)
		return
	}
	s.conn.head(s.id, true)
}

// trailer tells whether a header was announced as one that follows the body.
func (s *stream) trailer(name string) bool {
	for _, list := range s.header["Trailer"] {
		for other := range strings.SplitSeq(list, ",") {
			if strings.EqualFold(strings.TrimSpace(other), name) {
				return true
			}
		}
	}
	return false
}

func (s *stream) fields(name string, values []string) {
	if !httpguts.ValidHeaderFieldName(name) {
		return
	}
	name = lower(name)
	for _, value := range values {
		if httpguts.ValidHeaderFieldValue(value) {
			s.field(name, value)
		}
	}
}

func (s *stream) field(name, value string) {
	_ = s.conn.encoder.WriteField(hpack.HeaderField{Name: name, Value: value}) // into memory
}

// lower is the name as it is sent.
func lower(name string) string {
	if known, ok := lowered[name]; ok {
		return known
	}
	return strings.ToLower(name)
}

var lowered = func() map[string]string {
	m := map[string]string{}
	for name := range strings.FieldsSeq(`Accept-Ranges Access-Control-Allow-Origin Access-Control-Allow-Credentials Access-Control-Expose-Headers Age Allow Alt-Svc
		Cache-Control Content-Disposition Content-Encoding Content-Language Content-Length Content-Range Content-Security-Policy Content-Type Cross-Origin-Opener-Policy
		Cross-Origin-Resource-Policy Date Etag Expires Grpc-Message Grpc-Status Last-Modified Link Location Permissions-Policy Ratelimit Ratelimit-Policy Referrer-Policy
		Retry-After Server Set-Cookie Strict-Transport-Security Trailer Vary Via Www-Authenticate X-Content-Type-Options X-Frame-Options X-Request-Id`) {
		m[name] = strings.ToLower(name)
	}
	return m
}()

// stamp is the date of a second.
type stamp struct {
	second int64
	text   string
}

var today atomic.Pointer[stamp]

func date() string {
	now := time.Now()
	if t := today.Load(); t != nil && t.second == now.Unix() {
		return t.text
	}
	t := &stamp{now.Unix(), now.UTC().Format(http.TimeFormat)}
	today.Store(t)
	return t.text
}
