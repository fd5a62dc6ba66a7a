package exchange

import (
	"io"
	"net/http"
	"strconv"
	"sync"

	"github.com/headrace/headrace/internal/problem"
)

// pieces are buffers for bodies on their way to a client.
var pieces = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// write gives the answer to the client. It is false if the answer could not be completed after it began.
func (t *standard) write() bool {
	if t.ctx.Hijacked() {
		t.ctx.Response.Reset()
		t.ctx.Response.SetBody(AppendProblem(nil, problem.New("HR4031", "%s streams cannot be taken over", t.Request.Proto)))
		t.ctx.Response.SetStatusCode(problem.New("HR4031", "").Status())
		t.ctx.Response.Header.SetContentType("application/problem+json")
	}
	resp := &t.ctx.Response
	length := resp.Header.ContentLength()
	if !resp.IsBodyStream() && !resp.SkipBody && !t.ctx.IsHead() {
		length = len(resp.Body())
	}
	status := resp.StatusCode()
	bodiless := t.ctx.IsHead() || resp.SkipBody || status < 200 || status == http.StatusNoContent || status == http.StatusNotModified
	t.head(status, length, bodiless)
	if bodiless {
		_ = resp.CloseBodyStream()
		return true
	}
	if !resp.IsBodyStream() {
		t.stream.grant(t.server.options.IdleTimeout)
		_, err := t.Writer.Write(resp.Body())
		t.trailers()
		return err == nil
	}
	err := t.copy(resp.BodyStream(), length)
	t.trailers()
	if a, ok := resp.BodyStream().(*answer); ok {
		_ = a.CloseWithError(err)
	}
	_ = resp.CloseBodyStream()
	return err == nil
}

// head writes status and headers. What belongs to a connection of HTTP/1 is left out.
func (t *standard) head(status, length int, bodiless bool) {
	h := t.Writer.Header()
	h["Content-Type"] = nil // it is not guessed
	for key, value := range t.ctx.Response.Header.All() {
		switch name := http.CanonicalHeaderKey(string(key)); name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Content-Length":
		case "Content-Type":
			h[name] = []string{string(value)}
		default:
			if !t.trailer(key) {
				h[name] = append(h[name], string(value))
			}
		}
	}
	switch {
	case status == http.StatusNoContent || status == http.StatusNotModified || status < 200:
	case length > 0 || length == 0 && !bodiless:
		h["Content-Length"] = []string{strconv.Itoa(length)}
	}
	t.Writer.WriteHeader(status)
}

// trailer tells whether a header of the answer was announced as one that follows the body.
func (t *standard) trailer(key []byte) bool {
	for name := range t.ctx.Response.Header.Trailers() {
		if string(name) == string(key) {
			return true
		}
	}
	return false
}

func (t *standard) trailers() {
	for name := range t.ctx.Response.Header.Trailers() {
		if value := t.ctx.Response.Header.PeekBytes(name); len(value) > 0 {
			t.Writer.Header().Set(string(name), string(value))
		}
	}
}

// copy writes a body that streams; each piece is on its way before the next is read. It is short if it is not as long as announced.
func (t *standard) copy(body io.Reader, length int) error {
	if length < 0 || t.ctx.Response.ImmediateHeaderFlush {
		if err := t.stream.control.Flush(); err != nil {
			return err
		}
	}
	buffer := pieces.Get().(*[]byte)
	defer pieces.Put(buffer)
	written := 0
	for {
		n, err := body.Read(*buffer)
		if n > 0 {
			t.stream.grant(t.server.options.IdleTimeout)
			if _, failed := t.Writer.Write((*buffer)[:n]); failed != nil {
				return failed
			}
			if failed := t.stream.control.Flush(); failed != nil {
				return failed
			}
			written += n
		}
		switch {
		case err == io.EOF && length >= 0 && written != length:
			return io.ErrUnexpectedEOF
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
