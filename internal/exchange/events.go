package exchange

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

const (
	lookEvery      = 5 * time.Second // between two looks whether the client of a stream is still there
	keepAliveEvery = 3               // looks between two comments that keep the connection alive
)

var errOne = errors.New("one event is enough")

// Events answers with the events of a job as server-sent events, from the one after Last-Event-ID or ?after on, until the job has
// ended. If there is nothing left to tell the answer is 204, at which an EventSource stops coming back. Without logs these are left out,
// which shows as a jump of the ids.
func (p *Planes) Events(r *Request, id jobs.ID, logs bool) error {
	info, err := p.Jobs.Get(id)
	if err != nil {
		return err
	}
	after, err := r.lastEvent()
	if err != nil {
		return err
	}
	if state, _ := jobs.ParseState(info.State); state.Terminal() {
		err := p.Jobs.Watch(r.Running(), id, after, func(jobs.Event) error { return errOne })
		if err == nil {
			r.SetStatusCode(fasthttp.StatusNoContent)
			return nil
		}
		if !errors.Is(err, errOne) {
			return err
		}
	}
	r.Response.Header.Set("Cache-Control", "no-store")
	r.Response.Header.Set("X-Accel-Buffering", "no")
	log := r.Log()
	r.stream("text/event-stream", func(ctx context.Context, s *outlet) {
		err := p.Jobs.Watch(ctx, id, after, func(e jobs.Event) error {
			if e.Kind == "log" && !logs {
				return nil
			}
			return s.write(func(b []byte) []byte { return appendEvent(b, e.N, e.Kind, e.Data) })
		})
		if err != nil && ctx.Err() == nil {
			log.Debug("events ended early", "job", id, "error", err)
		}
	})
	return nil
}

// lastEvent is the number of the last event that the client has, 0 if none.
func (r *Request) lastEvent() (uint32, error) {
	text := r.Request.Header.Peek("Last-Event-Id")
	if len(text) == 0 {
		text = r.QueryArgs().Peek("after")
	}
	if len(text) == 0 {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(text), 10, 32)
	if err != nil {
		return 0, problem.New("HR2019", "%.40q is not the number of an event", text).At("Last-Event-ID").Hinting("send the id of the last event you got")
	}
	return uint32(n), nil
}

// appendEvent writes one server-sent event; n is left out if 0.
func appendEvent(b []byte, n uint32, kind string, data []byte) []byte {
	if n > 0 {
		b = append(b, "id: "...)
		b = strconv.AppendUint(b, uint64(n), 10)
		b = append(b, '\n')
	}
	b = append(append(append(b, "event: "...), kind...), '\n')
	for line := range bytes.FieldsFuncSeq(data, func(c rune) bool { return c == '\n' || c == '\r' }) {
		b = append(append(append(b, "data: "...), line...), '\n')
	}
	return append(b, '\n')
}

// outlet is an answer that is written bit by bit. Each write is on its way at once.
type outlet struct {
	mu       sync.Mutex
	w        *bufio.Writer
	buffer   []byte
	patience func()
}

func (s *outlet) write(f func([]byte) []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.patience()
	s.buffer = f(s.buffer[:0])
	if _, err := s.w.Write(s.buffer); err != nil {
		return err
	}
	return s.w.Flush()
}

// stream answers 200 and lets f write. The context ends when the client is gone or the server stops. The request is not valid in f.
func (r *Request) stream(media string, f func(context.Context, *outlet)) {
	conn, idle, sse := r.Conn(), r.server.options.IdleTimeout, media == "text/event-stream"
	ctx, cancel := context.WithCancel(r.Running())
	_ = r.SetWriteDeadline(time.Now().Add(idle))
	r.Response.Header.SetContentType(media)
	r.Response.ImmediateHeaderFlush = true
	s := &outlet{patience: func() { _ = conn.SetWriteDeadline(time.Now().Add(idle)) }}
	body := fasthttp.NewBoundedStreamReader(func(w *bufio.Writer) {
		defer cancel()
		s.w = w
		l := &looker{conn: conn, outlet: s, cancel: cancel, sse: sse}
		l.timer = time.AfterFunc(time.Hour, l.look)
		l.timer.Reset(lookEvery)
		f(ctx, s)
		l.stop()
	})
	r.Response.SetBodyStream(body, -1)
}

// looker looks after a stream now and then.
type looker struct {
	conn   net.Conn
	outlet *outlet
	cancel context.CancelFunc
	sse    bool
	timer  *time.Timer

	mu    sync.Mutex
	looks int
	over  bool
}

func (l *looker) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over {
		return
	}
	if Gone(l.conn) {
		l.cancel()
		return
	}
	if l.looks++; l.sse && l.looks%keepAliveEvery == 0 {
		if l.outlet.write(func(b []byte) []byte { return append(b, ": keep-alive\n\n"...) }) != nil {
			l.cancel()
			return
		}
	}
	l.timer.Reset(lookEvery)
}

// stop returns when no look is under way; none follows.
func (l *looker) stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.timer.Stop()
}
