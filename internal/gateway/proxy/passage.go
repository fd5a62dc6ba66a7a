package proxy

import (
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/upstream"
	"github.com/headrace/headrace/internal/problem"
)

// wholeBody is the size up to which a body is read into memory before it is sent, so that it can be sent again.
const wholeBody = 64 << 10

// passage is a request on its way to an upstream of HTTP/1.1, and its answer on the way back.
type passage struct {
	proxy  *proxy
	way    *way
	resp   *fasthttp.Response
	head   head
	call   upstream.Call
	body   source
	buffer []byte                  // of a body in memory
	saved  fasthttp.ResponseHeader // what policies had written before the upstream was asked
	pick   balance.Pick
	target *balance.Target
	began  time.Time
	failed bool // the answer broke off
	grace  grace
	to     io.Writer                           // the answer, while it is written
	conn   net.Conn                            // of the client
	asked  *exchange.Request                   // while the answer is waited for
	hint   func(int, *fasthttp.ResponseHeader) // x.early, made once
	more   func(name, value []byte)            // x.trailer, made once
	last   func() []byte                       // x.tail, likewise
	gone   func() bool                         // likewise: the client is
	cut    func()                              // likewise: its body is not wanted any more
}

var passages = sync.Pool{New: func() any {
	x := &passage{}
	x.more, x.last, x.hint = x.trailer, x.tail, x.early
	x.gone = func() bool { return exchange.Gone(x.conn) }
	x.cut = func() { _ = x.conn.SetReadDeadline(time.Unix(1, 0)) }
	return x
}}

func (x *passage) release() {
	if cap(x.buffer) > wholeBody || cap(x.head.bytes) > 32<<10 {
		return
	}
	x.proxy, x.way, x.resp, x.target, x.conn, x.to, x.asked = nil, nil, nil, nil, nil, nil, nil
	x.call, x.body, x.grace, x.failed = upstream.Call{}, source{}, grace{}, false
	clear(x.pick.Tried)
	x.pick.Hash, x.pick.Tried = 0, x.pick.Tried[:0]
	passages.Put(x)
}

// source is the body of a request that streams.
type source struct {
	from io.Reader
	read bool
}

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	s.read = true
	return s.from.Read(p)
}

// prepare makes the call. A body that is small is read; a larger one goes on as it comes.
func (x *passage) prepare(r *exchange.Request) error {
	call := &x.call
	x.conn, call.Gone = r.Conn(), x.gone
	call.Head, call.Method, call.TE, call.Upgrade, call.Trailer = x.head.bytes, r.Method(), x.head.te, x.head.upgrade != nil, x.more
	if call.Upgrade && !r.CanHijack() {
		return problem.New("HR4011", "%s cannot be switched to %.40q", r.Request.Header.Protocol(), x.head.upgrade)
	}
	limit := x.proxy.maxBody
	switch n := r.Length(); {
	case n == 0, r.Request.Header.ContentLength() == -2: // GET and HEAD without a length have no body
	case n > limit:
		return r.Within(limit)
	case n < 0 || n > wholeBody:
		x.body.from = r.Stream(limit)
		call.Body, call.Length, call.Interrupt = &x.body, n, x.cut
		if n < 0 && !x.way.h2 {
			x.announce(r)
		}
	case r.RequestBodyStream() == nil:
		call.Whole = r.PostBody()
	default:
		if cap(x.buffer) < int(n) {
			x.buffer = make([]byte, wholeBody)
		}
		call.Whole = x.buffer[:n]
		from := r.RequestBodyStream()
		if n > 8<<10 {
			from = r.Stream(limit)
		}
		if _, err := io.ReadFull(from, call.Whole); err != nil {
			var p *problem.Error
			if errors.As(err, &p) {
				return p
			}
			return problem.New("HR1004", "the body ended early")
		}
	}
	return nil
}

// ask sends the request, again if need be, until there is an answer.
func (x *passage) ask(r *exchange.Request) error {
	w, call := x.way, &x.call
	if x.asked = r; r.TakesHint() {
		call.Early = x.hint
	}
	resend := w.methods[string(call.Method)]
	if w.total > 0 {
		call.Deadline = time.Now().Add(w.total)
	}
	if w.hash != nil {
		x.pick.Hash = w.hash(r)
	}
	if w.on.some && w.attempts > 1 {
		x.resp.Header.CopyTo(&x.saved)
	}
	var last error
	for attempt := 1; ; attempt++ {
		target, err := w.Pick(&x.pick)
		if err != nil {
			if last != nil {
				err = last
			}
			return err
		}
		x.target = target
		r.Target = target.Name()
		target.Begin()
		x.began = time.Now()
		err = target.Client().Do(call, x.resp)
		if err == nil {
			status := x.resp.StatusCode()
			if w.on.some && status < len(w.on.status) && w.on.status[status] && resend && attempt < w.attempts && !x.body.read && call.Tunnel == nil && w.MayRetry() {
				if call.Stream != nil {
					_ = call.Stream.Close()
				}
				target.End(false, status, time.Since(x.began))
				x.saved.CopyTo(&x.resp.Header)
				x.again(target)
				continue
			}
			if call.Stream == nil && call.Tunnel == nil {
				target.End(false, status, time.Since(x.began))
			}
			return nil
		}
		var e *upstream.Error
		if !errors.As(err, &e) {
			e = &upstream.Error{Stage: upstream.Send, Sent: true, Err: err}
		}
		gone := e.Err == upstream.ErrGone
		target.End(e.Stage != upstream.Source && e.Stage != upstream.Busy && !gone, 0, time.Since(x.began))
		if gone {
			return problem.New("HR4010", "the client went away")
		}
		last = w.failure(e, x.proxy.log, target)
		if attempt >= w.attempts || x.body.read || w.total > 0 && time.Now().After(call.Deadline) || !w.on.after(e, resend) || !w.MayRetry() {
			return last
		}
		x.again(target)
	}
}

// again makes ready for another attempt.
func (x *passage) again(tried *balance.Target) {
	x.resp.ResetBody()
	x.pick.Tried = append(x.pick.Tried, tried)
}

// stream gives the answer to the client as it comes. The passage ends with it.
func (x *passage) stream(r *exchange.Request) {
	size := x.call.Size
	if size < 0 {
		r.Response.ImmediateHeaderFlush = true
	}
	x.grace = graceFor(r, x.way.idle)
	r.Answer(x, size)
}

// Read implements io.Reader for the answer.
func (x *passage) Read(p []byte) (int, error) {
	n, err := x.call.Stream.Read(p)
	x.grace.renew()
	x.failed = x.failed || err != nil && err != io.EOF && !errors.Is(err, upstream.ErrGone)
	return n, err
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo.
func (x *passage) SupportsBodyWriteTo() bool { return true }

// WriteTo implements io.WriterTo for the answer: what has come is written from where it was read to.
func (x *passage) WriteTo(w io.Writer) (int64, error) {
	x.to = w
	n, err := x.call.Stream.WriteTo((*granting)(x))
	var broken *upstream.Error
	x.failed = errors.As(err, &broken) && broken.Err != upstream.ErrGone
	return n, err
}

// granting is where the answer of a passage is written to. It gives the client time for each piece.
type granting passage

// Write implements io.Writer.
func (g *granting) Write(p []byte) (int, error) {
	g.grace.renew()
	return g.to.Write(p)
}

// Close implements io.Closer: the answer was given, or is given up.
func (x *passage) Close() error {
	if x.call.Stream == nil {
		return nil
	}
	_ = x.call.Stream.Close()
	status := x.resp.StatusCode()
	if x.failed {
		status = 0
	}
	x.target.End(x.failed, status, time.Since(x.began))
	x.release()
	return nil
}

// trailer takes a trailer of the answer.
func (x *passage) trailer(name, value []byte) { x.resp.Header.SetBytesKV(name, value) }

// grace is the time that a client has to take the next piece of an answer. The server grants it once, for the whole.
type grace struct {
	conn net.Conn // nil with HTTP/2, where the server does it for each piece
	idle time.Duration
	at   time.Time // when it was granted last
}

func graceFor(r *exchange.Request, idle time.Duration) grace {
	if r.Standard != nil {
		return grace{}
	}
	return grace{conn: r.Conn(), idle: idle}
}

func (g *grace) renew() {
	if g.conn == nil {
		return
	}
	if now := time.Now(); now.Sub(g.at) > g.idle/16 {
		g.at = now
		_ = g.conn.SetWriteDeadline(now.Add(g.idle))
	}
}
