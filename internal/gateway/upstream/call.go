package upstream

import (
	"errors"
	"io"
	"os"
	"time"

	"github.com/valyala/fasthttp"
)

// Call is a request and, when Do has returned, what of its answer is not in the Response.
type Call struct {
	// Head is the request line and the header lines, each ended by CR LF, without Connection, TE, Content-Length, Transfer-Encoding and
	// without the empty line: the client adds those. It is sent as it is.
	Head []byte
	// Method is that in Head. HEAD has answers without body; CONNECT is refused.
	Method []byte
	// Body is the body of the request and Length its size; -1 if that is not known, it goes out chunked then. Of a Body with a Length no
	// more than that is read. Do does not read it after it has returned. An answer that comes before the whole body was sent ends the
	// sending, unless it is a success; it is looked for before each piece.
	Body   io.Reader
	Length int64
	// Interrupt ends a Read of Body that waits, which then may fail in any way, and all later ones. It is called from another goroutine, perhaps more
	// than once, when such an answer has come meanwhile. With nil it has to wait for Read.
	Interrupt func()
	// Tail gives the trailers of a Body without Length when it has been read to its end: header lines, each ended by CR LF. Nil is none.
	Tail func() []byte
	// Whole is the body in memory, instead of Body; it can be sent again. Without both there is none.
	Whole []byte
	// Upgrade asks for another protocol, the one that Upgrade names in Head. An answer of status 101 gives Tunnel.
	Upgrade bool
	// TE says that trailers are welcome.
	TE bool
	// Deadline for the whole, the body of the answer included; zero is none. It is kept to a sixteenth of the time that was left, and half a second.
	Deadline time.Time
	// Gone is asked about once a second while the target is waited for, in the goroutine of the call: true gives the call up with [ErrGone] and
	// closes its connection, so that the target learns of it. It is asked while Stream is read, too. Nil never gives up.
	Gone func() bool
	// Early is called for an answer of status 103 before the final one; nil drops them.
	Early func(status int, h *fasthttp.ResponseHeader)
	// Trailer is called for each field after a chunked body, before its last Read returns io.EOF; nil drops them. Fields that would say how the
	// message is framed never come. The bytes are valid during the call only.
	Trailer func(name, value []byte)

	// Stream is the body of the answer if it is not in the Response whole: an io.ReadCloser that is an io.WriterTo as well. It must be
	// closed; that is not to happen during a Read.
	Stream *Stream
	// Size is that of Stream; -1 if it is not known.
	Size int64
	// Tunnel is the connection after an answer of status 101. It must be closed.
	Tunnel *Conn

	on *conn // that Send has sent the request on
}

// Do sends the request and reads the answer, or its head if the body is given as Stream. Headers that resp has already are left. If Do
// fails nothing is changed in resp but its body. The error is an *Error.
//
// A kept connection that turns out to be closed before a byte of the answer is replaced by a new one if nothing of the request was sent,
// or if it may be sent again: its method is idempotent, and Body was not read.
func (c *Client) Do(call *Call, resp *fasthttp.Response) error {
	call.Stream, call.Size, call.Tunnel = nil, 0, nil
	if string(call.Method) == "CONNECT" {
		return &Error{Stage: Send, Err: errors.New("method CONNECT is not spoken with targets")}
	}
	end := call.end()
	k, failed := call.on, (*Error)(nil)
	if k == nil {
		now := clock()
		if end != 0 && end <= now {
			return &Error{Stage: Connect, Timeout: true, Err: os.ErrDeadlineExceeded}
		}
		k, failed = c.acquire(now, end)
	}
	for failed == nil {
		err := k.call(call, end, resp)
		if err == nil {
			return nil
		}
		if err.Err == ErrGone || !k.kept || k.received || k.drawn || !broken(err.Err) || k.sent && !idempotent(call.Method) {
			k.done(false)
			return err
		}
		k, failed = c.replace(k, err.Err != errKept, end) // if nothing was tried yet, others that are kept may be well
	}
	return failed
}

// end is when the whole is over; 0 never.
func (c *Call) end() int64 {
	if c.Deadline.IsZero() {
		return 0
	}
	return int64(c.Deadline.Sub(epoch))
}

// call runs on a connection; the connection is done with only if there is no error.
func (k *conn) call(call *Call, end int64, resp *fasthttp.Response) *Error {
	if call.on == k {
		call.on = nil
		if err := k.answered(call); err != nil {
			return k.unanswered(err)
		}
	} else {
		k.begin(end, call.Gone)
		if err := k.request(call); err != nil {
			return err
		}
	}
	h, err := k.final(call)
	if err != nil {
		return failure(Head, k.sent, err)
	}
	if h.status == fasthttp.StatusSwitchingProtocols {
		h.fill(&resp.Header, false)
		call.Tunnel = k.tunnel()
		return nil
	}
	return k.answer(h, call, resp)
}

func idempotent(method []byte) bool {
	switch string(method) {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
