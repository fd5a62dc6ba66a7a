package live

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/exchange"
)

// lane is the connection of a client whose request came in a stream of HTTP/2 or HTTP/3, which cannot be taken over: what is written to it is the body
// of the answer, and it can be read only to learn that the client is gone.
type lane struct {
	remote net.Addr
	body   *io.PipeReader
	in     *io.PipeWriter
	over   chan struct{}
	once   sync.Once
}

// serve answers the request with what the session writes.
func (s *Session) serve(r *exchange.Request, media string, begin first) {
	l := &lane{remote: r.Conn().RemoteAddr(), over: make(chan struct{})}
	l.body, l.in = io.Pipe()
	h := &r.Response.Header
	h.SetContentType(media)
	h.Set("Cache-Control", cacheControl)
	h.Set("X-Accel-Buffering", "no")
	r.Response.ImmediateHeaderFlush = true
	away := r.WatchClient(func() { _ = l.Close() })
	stopping := context.AfterFunc(r.Running(), func() { // the server waits for answers to end, so it tells this client first
		time.AfterFunc(rand.N(s.live.options.Load().ShutdownWindow+1), func() { s.end(DisconnectShutdown) })
	})
	r.Response.SetBodyStream(answerBody{l, func() { away(); stopping() }}, -1)
	s.settle(l, nil, nil, begin)
}

// answerBody is the lane as the server reads it.
type answerBody struct {
	lane *lane
	stop func() // ends the watch over client and server
}

func (b answerBody) Read(p []byte) (int, error) { return b.lane.body.Read(p) }

func (b answerBody) Close() error {
	b.stop()
	return b.lane.Close()
}

func (l *lane) Write(b []byte) (int, error) { return l.in.Write(b) }

func (l *lane) Read([]byte) (int, error) {
	<-l.over
	return 0, io.EOF
}

func (l *lane) Close() error {
	l.once.Do(func() {
		close(l.over)
		_ = l.in.Close()
	})
	return nil
}

func (l *lane) RemoteAddr() net.Addr           { return l.remote }
func (*lane) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (*lane) SetDeadline(time.Time) error      { return os.ErrNoDeadline }
func (*lane) SetReadDeadline(time.Time) error  { return os.ErrNoDeadline }
func (*lane) SetWriteDeadline(time.Time) error { return os.ErrNoDeadline }
