package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/upstream"
	"github.com/headrace/headrace/internal/problem"
)

// serveH2 passes a request on in HTTP/2. Bodies stream both ways at once, as gRPC needs it.
func (p *proxy) serveH2(r *exchange.Request, to *way) error {
	rpc := isRPC(r)
	x := passages.Get().(*passage)
	x.proxy, x.way, x.resp = p, to, &r.Response
	defer x.release()
	err := p.heads.compose(&x.head, r)
	if err == nil && x.head.upgrade != nil {
		err = problem.New("HR4011", "an upstream with HTTP/2 cannot be switched to %.40q", x.head.upgrade)
	}
	if err == nil {
		if p.mirror != nil {
			p.mirror.count("dropped")
		}
		err = x.askH2(r, rpc)
	}
	if err != nil && rpc {
		answerRPC(r, problem.From(err))
		return nil
	}
	return err
}

// outgoing is the request for the upstream, without its target.
func (x *passage) outgoing(ctx context.Context, r *exchange.Request) *http.Request {
	text := string(x.head.bytes)
	first, lines, _ := strings.Cut(text, "\r\n")
	method, rest, _ := strings.Cut(first, " ")
	path, _, _ := strings.Cut(rest, " ")
	path, query, _ := strings.Cut(path, "?")
	req := (&http.Request{Method: method, Header: http.Header{}, Proto: "HTTP/2.0", ProtoMajor: 2, URL: &url.URL{Opaque: path, RawQuery: query}}).WithContext(ctx)
	for line := range strings.SplitSeq(lines, "\r\n") {
		name, value, ok := strings.Cut(line, ": ")
		switch {
		case !ok:
		case name == "Host":
			req.Host = value
		default:
			req.Header[name] = append(req.Header[name], value)
		}
	}
	if _, there := req.Header["User-Agent"]; !there {
		req.Header["User-Agent"] = nil // none is made up
	}
	if x.head.te {
		req.Header["Te"] = []string{"trailers"}
	}
	return req
}

// askH2 sends the request, again if need be, and gives the answer.
func (x *passage) askH2(r *exchange.Request, rpc bool) error {
	w := x.way
	parent := context.Background()
	if r.Standard != nil {
		parent = r.Standard.Request.Context()
	}
	ctx, cancel := context.WithCancelCause(parent)
	if w.total > 0 {
		deadline := time.AfterFunc(w.total, func() { cancel(errLate) })
		context.AfterFunc(ctx, func() { deadline.Stop() })
	}
	body, whole, length, err := x.bodyH2(r, rpc)
	if err != nil {
		cancel(nil)
		return err
	}
	if body != nil {
		x.follow(r, body)
	}
	if w.hash != nil {
		x.pick.Hash = w.hash(r)
	}
	watch := watchFor(r, func() { cancel(errGone) })
	resend := w.methods[string(r.Method())]
	var early *hints
	if !rpc && r.TakesHint() {
		early = &hints{request: r, names: x.proxy.hints}
		defer early.end()
		ctx = early.hear(ctx)
	}
	var last error
	for attempt := 1; ; attempt++ {
		target, err := w.Pick(&x.pick)
		if err != nil {
			watch.stop()
			cancel(nil)
			if last != nil {
				err = last
			}
			return err
		}
		r.Target = target.Name()
		req := x.outgoing(ctx, r)
		req.URL.Scheme, req.URL.Host = target.URL().Scheme, target.URL().Host
		switch {
		case body != nil:
			req.Body, req.ContentLength, req.Trailer = body, length, body.trailer
		case len(whole) > 0:
			req.ContentLength = int64(len(whole))
			req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole)), nil }
			req.Body, _ = req.GetBody()
		}
		target.Begin()
		began := time.Now()
		res, err := x.roundTrip(target, req, cancel, rpc)
		again := attempt < w.attempts && (body == nil || !body.begun())
		if err == nil {
			if again && w.on.some && res.StatusCode < len(w.on.status) && w.on.status[res.StatusCode] && resend && w.MayRetry() {
				_ = res.Body.Close()
				target.End(false, res.StatusCode, time.Since(began))
				x.again(target)
				continue
			}
			x.answerH2(r, &streamed{res: res, resp: x.resp, standard: r.Standard, target: target, began: began, body: body, watch: watch, cancel: cancel})
			return nil
		}
		e := classify(ctx, body, err)
		ours := e.Stage != upstream.Source && !errors.Is(e.Err, errGone)
		target.End(ours, 0, time.Since(began))
		if last = w.failure(e, x.proxy.log, target); errors.Is(e.Err, errGone) {
			last = problem.New("HR4010", "the client went away")
		}
		if !again || !ours || ctx.Err() != nil || !w.on.after(e, resend) || !w.MayRetry() {
			watch.stop()
			cancel(nil)
			if body != nil {
				_ = body.Close()
			}
			return last
		}
		x.again(target)
	}
}

var (
	errLate = errors.New("the upstream did not answer in time")
	errGone = errors.New("the client went away")
)

// roundTrip waits for the head of the answer; that of a remote procedure call may come with its first message, however late.
func (x *passage) roundTrip(target *balance.Target, req *http.Request, cancel context.CancelCauseFunc, rpc bool) (*http.Response, error) {
	if x.way.header > 0 && !rpc {
		timer := time.AfterFunc(x.way.header, func() { cancel(errLate) })
		defer timer.Stop()
	}
	return target.Transport().RoundTrip(req)
}

// classify tells how far a request came that got no answer.
func classify(ctx context.Context, body *lent, err error) *upstream.Error {
	e := &upstream.Error{Stage: upstream.Head, Sent: true, Err: err}
	var op *net.OpError
	var network net.Error
	switch {
	case body != nil && body.failure() != nil:
		e.Stage, e.Err = upstream.Source, body.failure()
	case context.Cause(ctx) == errGone || ctx.Err() != nil && context.Cause(ctx) != errLate:
		e.Err = errGone
	case context.Cause(ctx) == errLate:
		e.Timeout, e.Err = true, errLate
	case errors.As(err, &op) && op.Op == "dial":
		e.Stage, e.Sent, e.Timeout = upstream.Connect, false, op.Timeout()
	case errors.As(err, &network) && network.Timeout():
		e.Timeout = true
	case errors.Is(err, context.DeadlineExceeded): // of connecting, TLS included
		e.Stage, e.Sent, e.Timeout = upstream.Connect, false, true
	}
	return e
}

// bodyH2 is the body of the request: none, one in memory, or one that streams.
func (x *passage) bodyH2(r *exchange.Request, rpc bool) (body *lent, whole []byte, length int64, err error) {
	if r.Standard == nil || !rpc {
		if err := x.prepare(r); err != nil {
			return nil, nil, 0, err
		}
		if x.call.Body == nil {
			return nil, bytes.Clone(x.call.Whole), 0, nil // the transport may hold it after it has answered
		}
	}
	limit := r.Limit(x.proxy.maxBody)
	switch {
	case r.Standard != nil && rpc:
		return &lent{from: r.Standard.Request.Body, free: true}, nil, -1, nil
	case r.Length() < 0 && r.Request.Header.ContentLength() >= 0: // it is decoded on its way
		whole, err = io.ReadAll(x.call.Body)
		return nil, whole, 0, err
	case r.Standard != nil:
		return &lent{from: r.Standard.Request.Body, limit: limit}, nil, x.call.Length, nil
	}
	return &lent{from: r.RequestBodyStream(), conn: r.Conn(), idle: x.way.idle, limit: limit}, nil, x.call.Length, nil
}

// answerH2 gives the head of the answer, and the body as it comes.
func (x *passage) answerH2(r *exchange.Request, s *streamed) {
	h := &x.resp.Header
	h.SetStatusCode(s.res.StatusCode)
	h.SetNoDefaultContentType(true)
	for name, values := range s.res.Header {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade", "Content-Length", "Trailer", "Date":
			continue
		}
		for _, value := range values {
			h.Add(name, value)
		}
	}
	for name := range s.res.Trailer {
		_ = h.AddTrailer(name)
	}
	size := s.res.ContentLength
	if r.IsHead() || size == 0 && len(s.res.Trailer) == 0 {
		if size > 0 {
			h.SetContentLength(int(size))
		}
		_ = s.Close()
		return
	}
	if len(s.res.Trailer) > 0 {
		size = -1
	}
	r.Response.ImmediateHeaderFlush = true
	s.grace = graceFor(r, x.way.idle)
	r.Answer(s, size)
}

// streamed is an answer in HTTP/2 on its way to the client.
type streamed struct {
	res      *http.Response
	resp     *fasthttp.Response
	standard *exchange.Standard
	target   *balance.Target
	began    time.Time
	body     *lent
	watch    *watch
	cancel   context.CancelCauseFunc
	grace    grace
	failed   bool
	closed   bool
}

// Read implements io.Reader.
func (s *streamed) Read(p []byte) (int, error) {
	n, err := s.res.Body.Read(p)
	s.grace.renew()
	switch {
	case err == io.EOF:
		s.trailers()
	case err != nil:
		s.failed = true
	}
	return n, err
}

// trailers hands those on that came at the end. Ones that were not announced, as is usual in gRPC, are only possible in HTTP/2.
func (s *streamed) trailers() {
	announced := map[string]bool{}
	for name := range s.resp.Header.Trailers() {
		announced[string(name)] = true
	}
	for name, values := range s.res.Trailer {
		if s.standard != nil && !announced[name] {
			s.standard.Writer.Header()[http.TrailerPrefix+name] = values
			continue
		}
		for _, value := range values {
			s.resp.Header.Add(name, value)
		}
	}
}

// Close implements io.Closer.
func (s *streamed) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	s.watch.stop()
	status := s.res.StatusCode
	if s.failed {
		status = 0
	}
	_ = s.res.Body.Close()
	s.cancel(nil)
	if s.body != nil {
		_ = s.body.Close()
	}
	s.target.End(s.failed, status, time.Since(s.began))
	return nil
}
