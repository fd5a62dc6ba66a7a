package exchange

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"
	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Request is one exchange. It is valid until Serve returns; only a stream that was started lives longer.
type Request struct {
	*fasthttp.RequestCtx
	Route    any                 // what Admit found for Serve
	Function *functions.Function // likewise; nil if the route leads to none
	Params   [8][]byte           // values of the route's parameters, in their order; that of /* is the last
	Identity *identity.Identity  // who asks; nil if nobody said so
	Standard *Standard           // nil on the door for HTTP/1
	Target   string              // of an upstream, whose answer this is; for logs
	Code     string              // of the problem that the answer is; "" if it is none

	server *Server
	span   trace.Span // nil unless spans are recorded
	client netip.Addr
	id     string
	answer *answer
	bound  int64                     // of the body, by a policy; 0 is none
	limits string                    // key of the configuration that other limits of the body come from, if not server.max_body
	decode func(io.Reader) io.Reader // of the body; nil if it is read as it comes
	done   []func(Outcome)

	kept     Kept // given with keptBody
	keptBody []byte
}

var requests = sync.Pool{New: func() any { return new(Request) }}

func acquire(ctx *fasthttp.RequestCtx, s *Server) *Request {
	r := requests.Get().(*Request)
	r.RequestCtx, r.server = ctx, s
	return r
}

func (r *Request) release() {
	if r.span != nil {
		r.span.End()
	}
	*r = Request{done: r.done[:0]}
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
	r.Code = p.Code
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

// Traceparent is the trace of the request, "" if it has none. Where spans are recorded it is that of a span for the request, which
// begins a trace if there is none yet.
func (r *Request) Traceparent() string {
	header := r.Request.Header.Peek("Traceparent")
	traces := r.server.options.Traces
	recording := traces != nil && traces.Recording()
	if len(header) == 0 && !recording {
		return ""
	}
	from, ok := observe.ParseTraceparent(string(header))
	if !recording {
		if !ok {
			return ""
		}
		return observe.FormatTraceparent(from)
	}
	if r.span == nil {
		ctx := context.Background()
		if ok {
			ctx = trace.ContextWithRemoteSpanContext(ctx, from)
		}
		_, r.span = traces.Start(ctx, string(r.Method())+" "+string(r.Path()), trace.WithSpanKind(trace.SpanKindServer))
	}
	return observe.FormatTraceparent(r.span.SpanContext())
}

// Acquire makes a request of a context that came by no listener. Release it.
func (s *Server) Acquire(ctx *fasthttp.RequestCtx) *Request { return acquire(ctx, s) }

// Release lets go of a request that Acquire made.
func (r *Request) Release() {
	r.end()
	r.release()
}
