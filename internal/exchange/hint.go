package exchange

import (
	"net/http"
	"time"
)

// turn knows whether what was answered before on a connection is on its way: fasthttp holds an answer back while its reader has bytes of the next
// request already, and what is written past it would come first.
type turn struct {
	read  bool // since the request before
	alone bool // the request came when nothing was held back
}

// begins is the first byte of a request, which may have been read with the one before.
func (t *turn) begins() { t.alone = t.read }

// ends is the end of one.
func (t *turn) ends() { t.read = false }

func (t *turn) lone() bool { return t.alone }

// turning are connections that know.
type turning interface {
	begins()
	ends()
	lone() bool
}

// TakesHint tells whether Hint may be called: the client knows answers of status 1xx, as those of HTTP/1.0 do not, and all that was answered before on its
// connection is on its way. Of a plain door that Door.Greet looks at it is not known, nor is it of a detached request.
func (r *Request) TakesHint() bool {
	if r.Standard != nil {
		return true
	}
	t, ok := r.Conn().(turning)
	return ok && t.lone() && r.Request.Header.IsHTTP11()
}

// Hint sends an answer of status 103 with these headers, before anything of the answer is written. Their names are canonical, and names and values are
// valid. A client that does not take it in Options.IdleTimeout loses its connection.
func (r *Request) Hint(h http.Header) {
	limit := r.server.options.IdleTimeout
	if r.Standard != nil {
		if lane, ok := r.Conn().(interface{ grant(time.Duration) }); ok {
			lane.grant(limit)
		}
		to := r.Standard.Writer.Header()
		for name, values := range h {
			to[name] = values
		}
		r.Standard.Writer.WriteHeader(http.StatusEarlyHints)
		for name := range h {
			delete(to, name)
		}
		return
	}
	b := []byte("HTTP/1.1 103 Early Hints\r\n")
	for name, values := range h {
		for _, value := range values {
			b = append(append(append(append(b, name...), ": "...), value...), "\r\n"...)
		}
	}
	conn := r.Conn()
	_ = conn.SetWriteDeadline(time.Now().Add(limit)) // fasthttp sets its own before it writes
	if _, err := conn.Write(append(b, "\r\n"...)); err != nil {
		_ = conn.Close() // a part may be there
	}
}
