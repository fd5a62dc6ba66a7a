package live

import (
	"crypto/rand"
	"net/netip"
	"net/url"
	"strings"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/live/wire"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/websocket"
)

// Serve answers a request below the plane's path. HR3001 to HR3008 are its problems.
func (l *Live) Serve(r *exchange.Request) error {
	o := l.options.Load()
	door := strings.TrimPrefix(string(r.Path()), strings.TrimSuffix(o.Path, "/"))
	serve := map[string]func(*exchange.Request, *options) error{
		"/websocket": l.serveWebSocket, "/uni_websocket": l.serveWebSocket, "/sse": l.serveSSE, "/http_stream": l.serveStream,
		"/uni_sse": l.serveUniSSE, "/emulation": l.serveEmulation,
	}[door]
	if serve == nil {
		return problem.New("HR3001", "there is no door %.80q", door)
	}
	if !o.welcomes(r) {
		return problem.New("HR3002", "pages of %.200s may not connect", r.Request.Header.Peek("Origin"))
	}
	if !strings.HasSuffix(door, "websocket") {
		l.allowOrigin(r)
		if string(r.Method()) == fasthttp.MethodOptions {
			r.Response.SetStatusCode(fasthttp.StatusNoContent)
			return nil
		}
	}
	return serve(r, o)
}

// welcomes checks the origin of the page that connects. A request without one comes from no browser, from a page of this host, or asks for
// something whose answer the page cannot read, such as a picture.
func (o *options) welcomes(r *exchange.Request) bool {
	origin := string(r.Request.Header.Peek("Origin"))
	if origin == "" {
		if r.Identity == nil {
			return true
		}
		// It must not be done in the name of a visitor either.
		switch site := string(r.Request.Header.Peek("Sec-Fetch-Site")); {
		case site == "same-origin" || site == "none":
			return true
		default:
			if origin = string(r.Request.Header.Peek("Referer")); origin == "" {
				return site == ""
			}
		}
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" && len(o.Origins) == 0 {
		return false
	}
	if strings.EqualFold(u.Host, string(r.Host())) {
		return true
	}
	for _, pattern := range o.Origins {
		host := u.Host
		if _, port, _ := strings.Cut(strings.TrimPrefix(pattern, "["), ":"); port == "" && !strings.HasPrefix(pattern, "[") {
			host = u.Hostname()
		}
		rest, wild := strings.CutPrefix(pattern, "*.")
		switch {
		case pattern == "*", strings.EqualFold(pattern, host):
			return true
		case wild && len(host) > len(rest)+1 && strings.EqualFold(host[len(host)-len(rest)-1:], "."+rest):
			return true
		}
	}
	return false
}

// allowOrigin lets pages of other welcome origins read the answer.
func (l *Live) allowOrigin(r *exchange.Request) {
	origin := r.Request.Header.Peek("Origin")
	if len(origin) == 0 {
		return
	}
	h := &r.Response.Header
	h.SetBytesV("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Vary", "Origin")
	if string(r.Method()) == fasthttp.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
		h.Set("Access-Control-Allow-Headers", "Content-Type")
		h.Set("Access-Control-Max-Age", "300")
	}
}

// meet makes the session of a handshake, unless a limit forbids: HR3003, or HR3004 while stopping.
func (l *Live) meet(r *exchange.Request, o *options, t transport, f wire.Format) (*Session, error) {
	if l.stopping.Load() {
		return nil, problem.New("HR3004", "headrace is stopping")
	}
	if !o.handshakes.Allow() {
		l.metrics.handshakesRefused.Add(1)
		return nil, problem.New("HR3003", "there were %d handshakes within the last second", o.HandshakesPerSecond)
	}
	s := &Session{live: l, transport: t, format: f}
	if l.handles("connect", "") {
		s.extra().headers = headers(r)
	}
	if t == transportSSE || t == transportStream {
		s.extra()
		_, _ = rand.Read(s.more.secret[:]) // never fails
	}
	if i := r.Identity; i != nil {
		s.who = &who{user: i.Subject, claims: i.Claims, method: i.Method, key: i.Key}
	}
	address, _ := netip.AddrFromSlice(r.RemoteIP())
	if client := r.Client(); client != address.Unmap() {
		s.extra().client = client
	}
	if !l.registry.add(s, address.Unmap(), o.MaxConnections, o.ConnectionsPerAddress) {
		l.metrics.handshakesRefused.Add(1)
		return nil, problem.New("HR3003", "too many connections are open")
	}
	return s, nil
}

// headers are those of the request, their names in lower case, without the ones of the handshake itself.
func headers(r *exchange.Request) map[string]string {
	all := map[string]string{}
	for name, value := range r.Request.Header.All() {
		key := strings.ToLower(string(name))
		switch {
		case key == "connection", key == "upgrade", strings.HasPrefix(key, "sec-websocket-"):
		case all[key] != "":
			all[key] += ", " + string(value)
		default:
			all[key] = string(value)
		}
	}
	return all
}

// query tells whether a parameter of the request has a value.
func query(r *exchange.Request, name, value string) bool {
	return string(r.QueryArgs().Peek(name)) == value
}

var protocols = []string{"centrifuge-json", "centrifuge-protobuf"}

// serveWebSocket is /websocket and /uni_websocket.
func (l *Live) serveWebSocket(r *exchange.Request, o *options) error {
	accepted, refusal := websocket.Accept(string(r.Method()), func(name string) string {
		return string(joinHeader(r.Request.Header.PeekAll(name)))
	}, websocket.Offer{Protocols: protocols, Deflate: o.Compression})
	if refusal != nil {
		if refusal.Name != "" {
			r.Response.Header.Set(refusal.Name, refusal.Value)
		}
		return problem.New("HR3005", "%s", refusal.What)
	}
	var f wire.Format
	if accepted.Protocol == "centrifuge-protobuf" || query(r, "format", "protobuf") || query(r, "cf_protocol", "protobuf") {
		f |= wire.Protobuf
	}
	limits := o.limits
	if accepted.Deflate {
		f |= wire.Deflate
		limits = o.deflated
	}
	t, begin := transportWebSocket, first{}
	if strings.HasSuffix(string(r.Path()), "/uni_websocket") {
		t = transportUniWebSocket
		f |= wire.Uni
		begin = beginning(r, nil)
	}
	if begin.request != nil && begin.request.Token == "" && !o.Anonymous && r.Identity == nil && !l.handles("connect", "") {
		begin.request = nil // it could only be refused: the token may come in a message
	}
	s, err := l.meet(r, o, t, f)
	if err != nil {
		return err
	}
	s.reader = websocket.NewReader(limits)
	s.frames = query(r, "cf_ws_frame_ping_pong", "true")
	s.take(r, accepted.AppendResponse(nil), begin)
	return nil
}

func joinHeader(values [][]byte) []byte {
	if len(values) == 1 {
		return values[0]
	}
	var all []byte
	for i, v := range values {
		if i > 0 {
			all = append(all, ", "...)
		}
		all = append(all, v...)
	}
	return all
}

// Policies are the names of those around the requests that Serve answers.
func (l *Live) Policies() []string { return l.options.Load().Policies }

// Prefix is the path below which Serve answers.
func (l *Live) Prefix() string { return strings.TrimSuffix(l.options.Load().Path, "/") }
