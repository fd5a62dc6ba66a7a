package exchange

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/valyala/fasthttp"
)

// Standard is an exchange of the doors for HTTP/2 and HTTP/3, for handlers that pass it on whole.
type Standard struct {
	Writer  http.ResponseWriter
	Request *http.Request
	// Taken is set by a handler that has written the answer to Writer itself. It sets the status of Response, too, for metrics and logs.
	Taken bool
	// Aborted is set beside Taken if the answer could not be completed; the client gets a reset.
	Aborted bool
	// Bytes of the body that it has written; only told on.
	Bytes int64
}

// Outcome is how an exchange ended.
type Outcome struct {
	Status int
	Bytes  int64 // of the body of the answer that were handed to the connection
	Err    error // why a body that streams ended early; nil if it did not
}

// OnDone calls f once, when the answer has been written or the client is gone. The request is not valid any more then. Of an answer
// that was taken over, as by a WebSocket, f is called when that begins.
func (r *Request) OnDone(f func(Outcome)) { r.done = append(r.done, f) }

// Answer gives a body that is read while it is written; size is -1 if it is not known. If it is an io.Closer it is closed, once, in any case.
// If it is a fasthttp.BodyWriterTo it may be asked to write itself.
func (r *Request) Answer(body io.Reader, size int64) {
	a := &answer{from: body}
	r.answer = a
	r.Response.SetBodyStream(a, int(size))
}

// Body of the answer that was given with Answer; nil if there is none.
func (r *Request) AnswerBody() io.Reader {
	if r.answer == nil || !r.Response.IsBodyStream() {
		return nil
	}
	return r.answer.from
}

// ReplaceAnswer puts another body in the place of one that was given with Answer. It must close that one.
func (r *Request) ReplaceAnswer(body io.Reader, size int64) {
	r.answer.from = body
	r.Response.Header.SetContentLength(int(size))
}

// answer is a body that tells how it ended.
type answer struct {
	from    io.Reader
	outcome Outcome
	done    []func(Outcome)
	closed  bool
}

// Read implements io.Reader.
func (a *answer) Read(p []byte) (int, error) {
	n, err := a.from.Read(p)
	a.outcome.Bytes += int64(n)
	if err != nil && err != io.EOF {
		a.outcome.Err = err
	}
	return n, err
}

// SupportsBodyWriteTo implements fasthttp.BodyWriterTo: a body that says the same of itself is asked to write, which spares a copy.
func (a *answer) SupportsBodyWriteTo() bool {
	from, ok := a.from.(fasthttp.BodyWriterTo)
	return ok && from.SupportsBodyWriteTo()
}

// WriteTo implements io.WriterTo.
func (a *answer) WriteTo(w io.Writer) (int64, error) {
	n, err := a.from.(io.WriterTo).WriteTo(w)
	a.outcome.Bytes += n
	if err != nil {
		a.outcome.Err = err
	}
	return n, err
}

// Close implements io.Closer.
func (a *answer) Close() error {
	if a.closed {
		return nil
	}
	a.closed = true
	var err error
	if c, ok := a.from.(io.Closer); ok {
		err = c.Close()
	}
	for _, f := range a.done {
		f(a.outcome)
	}
	return err
}

// CloseWithError is Close after the connection has failed.
func (a *answer) CloseWithError(err error) error {
	if a.outcome.Err == nil {
		a.outcome.Err = err
	}
	return a.Close()
}

// endless closes the connection of an answer that ends with the server if it does by itself never end: one of events. Its upstream learns of
// it as of any client that goes away.
func (r *Request) endless() {
	if r.answer == nil || r.answer.closed || r.Standard != nil || !bytes.HasPrefix(r.Response.Header.ContentType(), eventStream) || !r.Response.IsBodyStream() {
		return
	}
	conn := r.Conn()
	stay := context.AfterFunc(r.Running(), func() { _ = conn.Close() })
	r.OnDone(func(Outcome) { stay() })
}

var eventStream = []byte("text/event-stream")

// end tells what waits for the end of the exchange, or leaves that to the body that streams.
func (r *Request) end() {
	r.endless()
	if len(r.done) == 0 {
		return
	}
	status := r.Response.StatusCode()
	if r.answer != nil && r.Response.IsBodyStream() && !r.answer.closed {
		r.answer.outcome.Status, r.answer.done = status, r.done
		r.done = nil
		return
	}
	outcome := Outcome{Status: status}
	if r.Standard != nil && r.Standard.Taken {
		outcome.Bytes = r.Standard.Bytes
	} else if !r.Response.IsBodyStream() {
		outcome.Bytes = int64(len(r.Response.Body()))
	}
	for _, f := range r.done {
		f(outcome)
	}
}
