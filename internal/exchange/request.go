package exchange

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Request is one exchange. It is valid until Serve returns; only a stream that was started lives longer.
type Request struct {
	*fasthttp.RequestCtx
	Route  any       // what Admit found for Serve
	Params [8][]byte // values of the route's parameters, in their order

	server *Server
}

var requests = sync.Pool{New: func() any { return new(Request) }}

func acquire(ctx *fasthttp.RequestCtx, s *Server) *Request {
	r := requests.Get().(*Request)
	r.RequestCtx, r.server = ctx, s
	return r
}

func (r *Request) release() {
	*r = Request{}
	requests.Put(r)
}

// Log is the door's log.
func (r *Request) Log() *slog.Logger { return r.server.options.Log }

// Running ends when the server stops.
func (r *Request) Running() context.Context { return r.server.running }

// JSON answers with a document. The bytes are copied.
func (r *Request) JSON(status int, body []byte) {
	r.Response.SetStatusCode(status)
	r.Response.Header.SetContentType("application/json")
	r.Response.SetBody(body)
}

// Problem answers with an error.
func (r *Request) Problem(err error) {
	p := problem.From(err)
	r.Response.ResetBody()
	status := p.Status()
	r.Response.SetStatusCode(status)
	r.Response.Header.SetContentType("application/problem+json")
	if status == fasthttp.StatusServiceUnavailable || status == fasthttp.StatusTooManyRequests {
		r.Response.Header.Set("Retry-After", "1")
	}
	if status == fasthttp.StatusUnauthorized {
		r.Response.Header.Set("WWW-Authenticate", "Bearer")
	}
	if p.Code == "HR7004" {
		r.Log().Error("request failed", "method", string(r.Method()), "path", string(r.Path()), observe.Error(err))
	}
	r.Response.SetBody(appendProblem(nil, p))
}

// Accepts tells whether the client names this media type.
func (r *Request) Accepts(media string) bool {
	accept := r.Request.Header.Peek("Accept")
	return len(accept) > 0 && strings.Contains(string(accept), media)
}

// Traceparent is the trace of the request, "" if it has none.
func (r *Request) Traceparent() string {
	header := r.Request.Header.Peek("Traceparent")
	if len(header) == 0 {
		return ""
	}
	span, ok := observe.ParseTraceparent(string(header))
	if !ok {
		return ""
	}
	return observe.FormatTraceparent(span)
}
