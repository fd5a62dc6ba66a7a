package live

import (
	"crypto/subtle"
	"encoding/hex"
	"encoding/json"
	"strings"

	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/live/wire"
	"github.com/headrace/headrace/internal/problem"
)

const octets = "application/octet-stream"

func decodeJSON(b []byte, r *protocol.ConnectRequest) error { return cfjson.Unmarshal(b, r, 0) }

// serveSSE is /sse: commands of the beginning come in cf_connect or the body, later ones through /emulation.
func (l *Live) serveSSE(r *exchange.Request, o *options) error {
	return l.stream(r, o, transportSSE, wire.SSE)
}

// serveStream is /http_stream.
func (l *Live) serveStream(r *exchange.Request, o *options) error {
	f := wire.Lines
	if string(r.Request.Header.ContentType()) == octets {
		f |= wire.Protobuf
	}
	return l.stream(r, o, transportStream, f)
}

func (l *Live) stream(r *exchange.Request, o *options, t transport, f wire.Format) error {
	commands, err := body(r, o)
	if err != nil {
		return err
	}
	if len(commands) == 0 {
		return problem.New("HR3006", "there is no connect command")
	}
	s, err := l.meet(r, o, t, f)
	if err != nil {
		return err
	}
	s.answer(r, f, first{message: commands})
	return nil
}

// serveUniSSE is /uni_sse, for a plain EventSource.
func (l *Live) serveUniSSE(r *exchange.Request, o *options) error {
	message, err := body(r, o)
	if err != nil {
		return err
	}
	s, err := l.meet(r, o, transportUniSSE, wire.SSE|wire.Uni)
	if err != nil {
		return err
	}
	begin := beginning(r, message)
	if id := r.Request.Header.Peek("Last-Event-Id"); len(id) > 0 {
		begin.since = parseSince(string(id))
	} else {
		begin.since = parseSince(string(r.QueryArgs().Peek("last_event_id")))
	}
	if begin.request == nil && len(begin.message) == 0 {
		begin.request = &protocol.ConnectRequest{}
	}
	s.answer(r, wire.SSE, begin)
	return nil
}

// body is the parameter cf_connect, or the body of a POST.
func body(r *exchange.Request, o *options) ([]byte, error) {
	switch string(r.Method()) {
	case fasthttp.MethodGet:
		return append([]byte(nil), r.QueryArgs().Peek("cf_connect")...), nil
	case fasthttp.MethodPost:
		b, err := r.Body(int64(o.MaxMessage))
		return append([]byte(nil), b...), err
	default:
		r.Response.Header.Set("Allow", "GET, POST, OPTIONS")
		return nil, problem.New("HR7003", "a stream is asked for by GET or POST")
	}
}

// first is what a client sent along with its handshake.
type first struct {
	message  []byte                   // commands, or the connect request of a one-way client
	request  *protocol.ConnectRequest // instead of message
	channels []string
	since    since
}

// beginning reads the parameters of a one-way client.
func beginning(r *exchange.Request, message []byte) (b first) {
	if b.message = message; len(b.message) == 0 {
		b.message = append([]byte(nil), r.QueryArgs().Peek("cf_connect")...)
	}
	for _, list := range r.QueryArgs().PeekMulti("channels") {
		for channel := range strings.SplitSeq(string(list), ",") {
			if channel != "" {
				b.channels = append(b.channels, channel)
			}
		}
	}
	token := string(r.QueryArgs().Peek("token"))
	if len(b.message) == 0 && (token != "" || len(b.channels) > 0) {
		b.request = &protocol.ConnectRequest{Token: token}
	}
	return b
}

// answer begins the answer that the session writes, on the connection itself where that can be taken over.
func (s *Session) answer(r *exchange.Request, f wire.Format, begin first) {
	media := "application/x-ndjson"
	switch {
	case f&wire.SSE != 0:
		media = "text/event-stream; charset=utf-8"
	case f&wire.Protobuf != 0:
		media = octets
	}
	if r.CanHijack() {
		s.take(r, head(r, media), begin)
	} else {
		s.serve(r, media, begin)
	}
}

const cacheControl = "private, no-cache, no-store, must-revalidate, max-age=0"

// head is that of an answer that ends with its connection.
func head(r *exchange.Request, media string) []byte {
	b := append([]byte("HTTP/1.1 200 OK\r\nContent-Type: "), media...)
	b = append(b, "\r\nCache-Control: "+cacheControl+"\r\nX-Accel-Buffering: no\r\nConnection: close\r\n"...)
	for _, name := range []string{"Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Vary"} {
		if v := r.Response.Header.Peek(name); len(v) > 0 {
			b = append(append(append(append(b, name...), ": "...), v...), "\r\n"...)
		}
	}
	return append(b, "\r\n"...)
}

// session is the secret with which an emulated connection's commands are sent.
func (s *Session) session() string {
	return hex.EncodeToString(append(s.id[:], s.more.secret[:]...))
}

// serveEmulation is /emulation: commands for a connection that itself only sends to the client.
func (l *Live) serveEmulation(r *exchange.Request, o *options) error {
	if string(r.Method()) != fasthttp.MethodPost {
		r.Response.Header.Set("Allow", "POST, OPTIONS")
		return problem.New("HR7003", "commands are sent by POST")
	}
	b, err := r.Body(int64(o.MaxMessage) * 2) // commands are quoted
	if err != nil {
		return err
	}
	var e protocol.EmulationRequest
	if string(r.Request.Header.ContentType()) == octets {
		err = e.UnmarshalCF(b)
	} else {
		err = cfjson.Unmarshal(b, &e, 0)
	}
	if err != nil {
		return problem.New("HR3006", "the commands cannot be read: %w", err)
	}
	s := l.emulated(&e)
	if s == nil {
		return problem.New("HR3007", "there is no such session on this node")
	}
	commands := []byte(e.Data)
	if s.format&wire.Protobuf == 0 {
		var text string
		if err := json.Unmarshal(commands, &text); err != nil {
			return problem.New("HR3006", "the commands are not a string: %w", err)
		}
		commands = []byte(text)
	}
	if len(commands) > int(o.MaxMessage) {
		return problem.New("HR3006", "the commands have more than %d bytes", o.MaxMessage)
	}
	s.more.commands.Lock()
	t := &turn{s: s}
	s.handle(t, commands)
	t.flush()
	s.more.commands.Unlock()
	r.Response.SetStatusCode(fasthttp.StatusNoContent)
	return nil
}

func (l *Live) emulated(e *protocol.EmulationRequest) *Session {
	b, err := hex.DecodeString(e.Session)
	if err != nil || len(b) != 32 || e.Node != l.node {
		return nil
	}
	s := l.registry.find(clientID(b[:16]))
	if s == nil || s.transport != transportSSE && s.transport != transportStream || subtle.ConstantTimeCompare(b[16:], s.more.secret[:]) == 0 {
		return nil
	}
	return s
}
