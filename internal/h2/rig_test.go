package h2

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

const wait = 10 * time.Second // longest that anything may take

// rig is a server and a client of another make.
type rig struct {
	*Server
	address string
	client  *http.Client
}

func newRig(t testing.TB, change func(*Options), handler http.HandlerFunc) *rig {
	t.Helper()
	o := Options{Handler: handler, MaxStreams: 100, MaxFrame: 16 << 10, MaxHeader: 16 << 10, IdleTimeout: wait, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&o)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{Server: New(o), address: listener.Addr().String()}
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go r.Serve(context.Background(), c, nil)
		}
	}()
	transport := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	r.client = &http.Client{Transport: transport, Timeout: wait}
	t.Cleanup(func() {
		_ = listener.Close()
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), wait)
		defer cancel()
		r.Drain(ctx)
		if ctx.Err() != nil {
			t.Error("connections do not end")
		}
	})
	return r
}

func (r *rig) ask(t testing.TB, method, path string, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+r.address+path, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, got
}

// peer speaks frames.
type peer struct {
	testing.TB
	net.Conn
	*http2.Framer
	block   bytes.Buffer
	encoder *hpack.Encoder
}

// peer connects and takes the greeting.
func (r *rig) peer(t testing.TB, settings ...http2.Setting) *peer {
	t.Helper()
	c, err := net.Dial("tcp", r.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(wait))
	p := &peer{TB: t, Conn: c, Framer: http2.NewFramer(c, c)}
	p.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.encoder = hpack.NewEncoder(&p.block)
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = p.WriteSettings(settings...)
	p.expect(func(f http2.Frame) bool { s, ok := f.(*http2.SettingsFrame); return ok && s.IsAck() })
	return p
}

// expect reads frames until one is right.
func (p *peer) expect(right func(http2.Frame) bool) http2.Frame {
	p.Helper()
	for {
		f, err := p.ReadFrame()
		if err != nil {
			p.Fatal(err)
		}
		if right(f) {
			return f
		}
	}
}

// request opens a stream; fields are names and values.
func (p *peer) request(id uint32, end bool, fields ...string) {
	p.block.Reset()
	for i := 0; i < len(fields); i += 2 {
		_ = p.encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	_ = p.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: p.block.Bytes(), EndHeaders: true, EndStream: end})
}

func (p *peer) get(id uint32, path string) {
	p.request(id, true, ":method", "GET", ":scheme", "http", ":authority", "h", ":path", path)
}

func reset(id uint32, code http2.ErrCode) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		r, ok := f.(*http2.RSTStreamFrame)
		return ok && r.StreamID == id && r.ErrCode == code
	}
}

func goAway(code http2.ErrCode) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		g, ok := f.(*http2.GoAwayFrame)
		return ok && g.ErrCode == code
	}
}

func head(id uint32, status string) func(http2.Frame) bool {
	return func(f http2.Frame) bool {
		h, ok := f.(*http2.MetaHeadersFrame)
		return ok && h.StreamID == id && h.PseudoValue("status") == status
	}
}

var quiet = slog.New(slog.DiscardHandler)

// pipe is a connection in memory that has addresses.
func pipe() (client, server net.Conn) {
	client, c := net.Pipe()
	return client, addressed{c}
}

type addressed struct{ net.Conn }

func (addressed) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1} }
