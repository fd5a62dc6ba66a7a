package exchange

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/net/http/httpguts"

	"github.com/headrace/headrace/internal/problem"
)

// ServeHTTP is the way in for HTTP/2 and HTTP/3. It implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	t := standards.Get().(*standard)
	t.open(s, w, req)
	aborted := false
	func() {
		defer t.close()
		r := acquire(&t.ctx, s)
		r.Standard = &t.Standard
		if err := t.read(); err != nil {
			s.conclude(r, err)
		} else {
			s.exchange(r, false)
		}
		if t.Taken {
			aborted = t.Aborted
		} else {
			aborted = !t.write()
		}
	}()
	if aborted {
		panic(http.ErrAbortHandler) // resets the stream, so that the client does not take the answer for whole
	}
}

// WithAddresses tells ServeHTTP the two ends of the connection, in the context of its requests.
func WithAddresses(ctx context.Context, local, remote net.Addr) context.Context {
	return context.WithValue(ctx, addressesKey{}, &addresses{tcp(local), tcp(remote)})
}

type addressesKey struct{}

type addresses struct{ local, remote net.Addr }

// tcp gives all addresses one form.
func tcp(a net.Addr) net.Addr {
	if u, ok := a.(*net.UDPAddr); ok {
		return &net.TCPAddr{IP: u.IP, Port: u.Port, Zone: u.Zone}
	}
	return a
}

// standard is one exchange of HTTP/2 or HTTP/3 in the form of HTTP/1.
type standard struct {
	Standard
	ctx    fasthttp.RequestCtx
	server *Server
	stream lane
}

var standards = sync.Pool{New: func() any { return new(standard) }}

func (t *standard) open(s *Server, w http.ResponseWriter, req *http.Request) {
	t.server, t.Standard = s, Standard{Writer: w, Request: req}
	ends, ok := req.Context().Value(addressesKey{}).(*addresses)
	if !ok {
		ends = &addresses{&net.TCPAddr{}, &net.TCPAddr{}}
		if at, err := netip.ParseAddrPort(req.RemoteAddr); err == nil {
			ends.remote = net.TCPAddrFromAddrPort(at)
		}
	}
	t.stream = lane{ends: ends, done: req.Context(), control: http.NewResponseController(w)}
	var c net.Conn = &t.stream
	if req.TLS != nil {
		c = secureStream{&t.stream, req.TLS}
	}
	t.ctx.Init2(c, printer{s.options.Log}, true)
	t.ctx.Response.Header.SetNoDefaultContentType(true)
}

func (t *standard) close() {
	t.stream.detach()
	t.ctx.ResetUserValues()
	t.ctx.HijackSetNoResponse(false)
	t.ctx.Hijack(nil)
	t.ctx.Request.Reset()
	t.ctx.Response.Reset()
	t.Standard, t.server = Standard{}, nil
	standards.Put(t)
}

// read makes the head of the request. What HTTP/1 could not carry unambiguously is refused: HR4030; HR4011 is for methods that are not served.
func (t *standard) read() error {
	req, h := t.Request, &t.ctx.Request.Header
	uri := req.RequestURI
	switch {
	case req.Method == http.MethodConnect, req.Method == http.MethodTrace:
		return problem.New("HR4011", "%s is not served", req.Method) // no resource has them, which is 501; 405 is for those of other resources
	case !httpguts.ValidHeaderFieldName(req.Method): // both are tokens
		return problem.New("HR4030", "the method is no token")
	case uri != "*" && !strings.HasPrefix(uri, "/") || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c == 0x7f || c == '#' }):
		return problem.New("HR4030", "the path is malformed")
	}
	host := []byte(req.Host)
	name, ok := authority(host)
	if !ok {
		return problem.New("HR4030", "the authority is malformed")
	}
	if name != nil {
		host = name
	}
	h.SetMethod(req.Method)
	h.SetRequestURI(uri)
	h.SetHostBytes(host)
	h.SetProtocol(req.Proto)
	for name, values := range req.Header {
		switch name {
		case "Connection", "Keep-Alive", "Proxy-Connection", "Transfer-Encoding", "Upgrade":
			return problem.New("HR4030", "the header %s has no meaning in %s", name, req.Proto)
		case "Host":
			if len(values) != 1 || !strings.EqualFold(values[0], req.Host) {
				return problem.New("HR4030", "host and authority differ")
			}
			continue
		case "Content-Length":
			if n, err := strconv.ParseInt(values[0], 10, 64); err != nil || len(values) != 1 || values[0][0] == '+' || n != req.ContentLength {
				return problem.New("HR4030", "the length is not that of the body")
			}
			continue
		case "Expect":
			continue
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				return problem.New("HR4030", "the header %.40q is malformed", name)
			}
			h.Add(name, value)
		}
	}
	if req.TLS != nil {
		t.ctx.URI().SetScheme("https")
	}
	if req.ContentLength != 0 {
		t.ctx.Request.SetBodyStream(req.Body, int(req.ContentLength))
	}
	return nil
}

// lane is what handlers of HTTP/1 know as the connection: one stream. It has deadlines, but cannot be read and written.
type lane struct {
	ends *addresses
	done context.Context

	mu      sync.Mutex
	control *http.ResponseController // nil when the exchange is over
	patient bool                     // a handler has set the deadline for writing
}

var errStream = errors.New("a stream of HTTP/2 or HTTP/3 cannot be taken over")

func (c *lane) Read([]byte) (int, error)  { return 0, errStream }
func (c *lane) Write([]byte) (int, error) { return 0, errStream }
func (c *lane) Close() error              { return nil }
func (c *lane) LocalAddr() net.Addr       { return c.ends.local }
func (c *lane) RemoteAddr() net.Addr      { return c.ends.remote }

// gone tells whether the client has given the request up.
func (c *lane) gone() bool { return c.done.Err() != nil }

func (c *lane) SetDeadline(at time.Time) error {
	return errors.Join(c.SetReadDeadline(at), c.SetWriteDeadline(at))
}

func (c *lane) SetReadDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control == nil {
		return net.ErrClosed
	}
	return c.control.SetReadDeadline(at)
}

func (c *lane) SetWriteDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.control == nil {
		return net.ErrClosed
	}
	c.patient = true
	return c.control.SetWriteDeadline(at)
}

// grant gives the client time for the next piece of the answer, unless a handler has given it time for the whole.
func (c *lane) grant(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.patient && d > 0 {
		_ = c.control.SetWriteDeadline(time.Now().Add(d))
	}
}

func (c *lane) detach() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.control = nil
}

// secureStream is one under TLS.
type secureStream struct {
	*lane
	state *tls.ConnectionState
}

func (secureStream) Handshake() error                       { return nil }
func (c secureStream) ConnectionState() tls.ConnectionState { return *c.state }

// CanHijack tells whether the connection can be taken over, as a WebSocket needs it. Those of HTTP/2 and HTTP/3 cannot: HR4031.
func (r *Request) CanHijack() bool { return r.Standard == nil }

// PeerCertificates are the certificates that the client has shown and that lead to an authority of server.tls.client_ca, its own first;
// nil if it has shown none.
func (r *Request) PeerCertificates() []*x509.Certificate {
	if r.Standard != nil {
		if state := r.Standard.Request.TLS; state != nil {
			return state.PeerCertificates
		}
		return nil
	}
	if state := r.TLSConnectionState(); state != nil {
		return state.PeerCertificates
	}
	return nil
}
