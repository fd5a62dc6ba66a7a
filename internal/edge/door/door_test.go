package door

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

func newTransport3(t testing.TB, c *tls.Config) http.RoundTripper {
	tr := &http3.Transport{TLSClientConfig: c, QUICConfig: &quic.Config{MaxIdleTimeout: 5 * time.Second}}
	t.Cleanup(func() { tr.Close() })
	return tr
}

func all(c *config.Config, _ *rig) {
	c.Server.H2C = true
	c.Server.TLS.HTTP3 = true
}

var protocols = []string{"h1", "h2", "h3", "h2c", "plain"}

func TestProtocols(t *testing.T) {
	r := newRig(t, all)
	names := map[string]string{"h1": "HTTP/1.1", "h2": "HTTP/2.0", "h3": "HTTP/3.0", "h2c": "HTTP/2.0", "plain": "HTTP/1.1"}
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			r := &rig{Doors: r.Doors, t: t, authority: r.authority, closed: r.closed, done: r.done}
			secure := p == "h1" || p == "h2" || p == "h3"
			resp, body := r.get(p, "/hello?a=b%20c")
			if resp.Proto != names[p] || resp.Header.Get("X-Proto") != names[p] || resp.StatusCode != 200 {
				t.Errorf("%s %s %d", resp.Proto, resp.Header.Get("X-Proto"), resp.StatusCode)
			}
			scheme := map[bool]string{true: "https", false: "http"}[secure]
			if !strings.Contains(body, `"client":"127.0.0.1"`) || !strings.Contains(body, `"uri":"/hello?a=b%20c"`) || !strings.Contains(body, `"scheme":"`+scheme+`"`) || strings.Contains(body, `"secure":true`) != secure {
				t.Error(body)
			}
			if alt := resp.Header.Get("Alt-Svc"); (alt != "") != (p == "h1" || p == "h2") {
				t.Errorf("Alt-Svc: %q", alt)
			}

			send := strings.Repeat("0123456789", 10_000)
			resp, err := r.client(p).Post(r.url(p, "/echo"), "text/plain", strings.NewReader(send))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(resp.Body)
			if err != nil || string(got) != send || resp.ContentLength != int64(len(send)) {
				t.Errorf("echo: %d bytes of %d, %v", len(got), resp.ContentLength, err)
			}
			resp, err = r.client(p).Post(r.url(p, "/echo"), "text/plain", io.MultiReader(strings.NewReader(send))) // of unknown length
			if err != nil {
				t.Fatal(err)
			}
			if got, err = io.ReadAll(resp.Body); err != nil || string(got) != send {
				t.Errorf("echo without length: %d bytes, %v", len(got), err)
			}

			if _, body := r.get(p, "/stream"); len(body) != 100_000 {
				t.Errorf("stream: %d", len(body))
			}
			if o := wait(t, r.done); o.Bytes != 100_000 || o.Err != nil || o.Status != 200 {
				t.Errorf("outcome %+v", o)
			}
			if resp, body := r.get(p, "/sized"); len(body) != 100_000 || resp.ContentLength != 100_000 {
				t.Errorf("sized: %d of %d", len(body), resp.ContentLength)
			}
			if resp, body := r.get(p, "/trailers"); body != "body" || resp.Trailer.Get("X-Sum") != "42" {
				t.Errorf("trailers: %q %v", body, resp.Trailer)
			}
			if resp, _ := r.get(p, "/cookies"); len(resp.Header.Values("Set-Cookie")) != 2 {
				t.Errorf("cookies: %q", resp.Header)
			}
			if resp, body := r.get(p, "/none"); resp.StatusCode != 204 || body != "" {
				t.Errorf("none: %d %q", resp.StatusCode, body)
			}
			if resp, body := r.get(p, "/panic"); resp.StatusCode != 500 || !strings.Contains(body, "HR7004") {
				t.Errorf("panic: %d %q", resp.StatusCode, body)
			}
			resp, err = r.client(p).Head(r.url(p, "/sized"))
			if err != nil || resp.ContentLength != 100_000 {
				t.Errorf("head: %v %v", resp, err)
			}
			if p == "h2" || p == "h3" || p == "h2c" {
				if resp, body := r.get(p, "/hijack"); resp.StatusCode != 501 || !strings.Contains(body, "HR4031") {
					t.Errorf("hijack: %d %q", resp.StatusCode, body)
				}
				if resp, body := r.get(p, "/taken"); resp.StatusCode != 299 || body != "raw" {
					t.Errorf("taken: %d %q", resp.StatusCode, body)
				}
			}
		})
	}
}

// An answer that ends early is no whole answer, whatever the protocol.
func TestShortAnswer(t *testing.T) {
	t.Parallel()
	r := newRig(t, all)
	for _, p := range protocols {
		resp, err := r.client(p).Get(r.url(p, "/short"))
		if err == nil {
			_, err = io.ReadAll(resp.Body)
		}
		if err == nil {
			t.Errorf("%s: it was taken for whole", p)
		}
		if o := wait(t, r.done); o.Bytes != 10 {
			t.Errorf("%s: %+v", p, o)
		}
	}
}

// A client that goes away ends the body that is on its way to it, though that has nothing to give.
func TestGone(t *testing.T) {
	t.Parallel()
	r := newRig(t, all)
	for _, p := range protocols {
		ctx, cancel := context.WithCancel(context.Background())
		req, _ := http.NewRequestWithContext(ctx, "GET", r.url(p, "/endless"), nil)
		resp, err := r.client(p).Do(req)
		if err != nil {
			t.Fatal(p, err)
		}
		first := make([]byte, 6)
		if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "first\n" {
			t.Fatalf("%s: %q %v", p, first, err)
		}
		cancel()
		resp.Body.Close()
		wait(t, r.closed)
		if o := wait(t, r.done); o.Err == nil {
			t.Errorf("%s: %+v", p, o)
		}
	}
}

// What is sent comes back while more is sent.
func TestBothWays(t *testing.T) {
	t.Parallel()
	r := newRig(t, all)
	for _, p := range []string{"h2", "h3", "h2c"} {
		in, out := io.Pipe()
		req, _ := http.NewRequest("POST", r.url(p, "/pipe"), in)
		answered := make(chan *http.Response, 1)
		go func() {
			resp, err := r.client(p).Do(req)
			if err != nil {
				t.Error(p, err)
			}
			answered <- resp
		}()
		var resp *http.Response
		for _, word := range []string{"one", "two", "three"} {
			if _, err := io.WriteString(out, word); err != nil {
				t.Fatal(p, err)
			}
			if resp == nil {
				if resp = wait(t, answered); resp == nil {
					t.FailNow()
				}
			}
			got := make([]byte, len(word))
			if _, err := io.ReadFull(resp.Body, got); err != nil || string(got) != word {
				t.Fatalf("%s: %q %v", p, got, err)
			}
		}
		out.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("%s: %q %v", p, rest, err)
		}
	}
}

func TestReload(t *testing.T) {
	r := newRig(t, all)
	serial := func() string {
		c, err := tls.Dial("tcp", r.SecureAddr().String(), &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost"})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	open, err := tls.Dial("tcp", r.SecureAddr().String(), &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost"})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	before := serial()
	if err := writeFile(r.config.Server.TLS.Certificates[0].Key, "broken"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Prepare(r.config); err == nil || serial() != before {
		t.Fatalf("a broken key was taken: %v", err)
	}
	r.authority.write(t, r.folder, "main", "localhost")
	use, err := r.Prepare(r.config)
	if err != nil {
		t.Fatal(err)
	}
	use()
	if serial() == before {
		t.Error("the former certificate is served")
	}
	if _, err := io.WriteString(open, "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_ = open.SetReadDeadline(time.Now().Add(5 * time.Second))
	if line := make([]byte, 12); first(io.ReadFull(open, line)) != 12 || string(line) != "HTTP/1.1 200" {
		t.Errorf("the open connection answers %q", line)
	}
}

func first(n int, _ error) int { return n }

func TestClientCertificates(t *testing.T) {
	clients := newAuthority(t)
	for _, mode := range []string{"request", "require"} {
		r := newRig(t, func(c *config.Config, r *rig) {
			all(c, r)
			c.Server.TLS.ClientAuth, c.Server.TLS.ClientCA = mode, r.folder+"/clients.pem"
			writePEM(t, c.Server.TLS.ClientCA, "CERTIFICATE", clients.cert.Raw)
		})
		good, err := tls.LoadX509KeyPair(clients.write(t, r.folder, "alice"))
		if err != nil {
			t.Fatal(err)
		}
		other, err := tls.LoadX509KeyPair(newAuthority(t).write(t, r.folder, "mallory"))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"h1", "h2", "h3"} {
			resp, err := r.client(p, good).Get(r.url(p, "/who"))
			if err != nil {
				t.Fatal(p, err)
			}
			if body, _ := io.ReadAll(resp.Body); string(body) != "alice" {
				t.Errorf("%s %s: %q", mode, p, body)
			}
			resp, err = r.client(p).Get(r.url(p, "/who"))
			if (err == nil) != (mode == "request") {
				t.Errorf("%s %s without certificate: %v %v", mode, p, resp, err)
			}
			c := r.client(p, other)
			if t, ok := c.Transport.(*http.Transport); ok { // send it though the server names another authority
				t.TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other, nil }
			} else {
				c.Transport.(*http3.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &other, nil }
			}
			if resp, err := c.Get(r.url(p, "/who")); err == nil {
				t.Errorf("%s %s: a certificate of another authority got %d", mode, p, resp.StatusCode)
			}
		}
	}
}

func TestMinVersion(t *testing.T) {
	r := newRig(t, func(c *config.Config, _ *rig) { c.Server.TLS.MinVersion = "1.3" })
	_, err := tls.Dial("tcp", r.SecureAddr().String(), &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost", MaxVersion: tls.VersionTLS12})
	if err == nil {
		t.Error("TLS 1.2 was taken")
	}
}

func TestRedirect(t *testing.T) {
	r := newRig(t, func(c *config.Config, _ *rig) { c.Server.TLS.Redirect, c.Server.TLS.PublicPort = true, 443 })
	resp, err := r.client("plain").Post("http://"+r.Addr().String()+"/a?b=c", "text/plain", strings.NewReader("x"))
	if err != nil || resp.StatusCode != 308 || resp.Header.Get("Location") != "https://127.0.0.1/a?b=c" {
		t.Errorf("%v %v", resp, err)
	}
	if resp, _ := r.get("h2", "/hello"); resp.StatusCode != 200 {
		t.Errorf("with TLS: %d", resp.StatusCode)
	}
}

// TLS that is no TLS is refused without an answer, and counts as no request.
func TestPlainToSecure(t *testing.T) {
	r := newRig(t, nil)
	c, err := net.Dial("tcp", r.SecureAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
	got, _ := io.ReadAll(c)
	if bytes.Contains(got, []byte("200")) {
		t.Errorf("%q", got)
	}
}

func TestMaxConnections(t *testing.T) {
	r := newRig(t, func(c *config.Config, r *rig) {
		all(c, r)
		c.Server.MaxConnections = 1
	})
	_, f := r.frames() // holds the only place
	if _, err := f.ReadFrame(); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", r.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	if answer, _ := io.ReadAll(c); !bytes.HasPrefix(answer, []byte("HTTP/1.1 503")) {
		t.Errorf("plain: %q", answer)
	}
	for _, p := range []string{"h1", "h3"} {
		if resp, err := r.client(p).Get(r.url(p, "/hello")); err == nil {
			t.Errorf("%s: %d", p, resp.StatusCode)
		}
	}
}

// Stop lets what is under way finish, on every door.
func TestStop(t *testing.T) {
	for _, p := range protocols {
		t.Run(p, func(t *testing.T) {
			r := newRig(t, all)
			in, out := io.Pipe()
			type result struct {
				body string
				err  error
			}
			answered := make(chan result, 1)
			go func() {
				resp, err := r.client(p).Post(r.url(p, "/slow"), "text/plain", in)
				if err != nil {
					answered <- result{err: err}
					return
				}
				body, err := io.ReadAll(resp.Body)
				answered <- result{string(body), err}
			}()
			_, _ = io.WriteString(out, "begin ")
			wait(t, r.begun)
			stopped := make(chan error, 1)
			go func() {
				ctx, cancel := context.WithTimeout(context.Background(), 8*time.Second)
				defer cancel()
				stopped <- r.Stop(ctx)
			}()
			for end := time.Now().Add(5 * time.Second); time.Now().Before(end); {
				c, err := net.Dial("tcp", r.Addr().String())
				if err != nil {
					break
				}
				c.Close()
			}
			_, _ = io.WriteString(out, "end")
			out.Close()
			if a := wait(t, answered); a.err != nil || a.body != "begin end" {
				t.Errorf("%q %v", a.body, a.err)
			}
			if err := wait(t, stopped); err != nil {
				t.Error(err)
			}
		})
	}
}

// Between a plain connection and its socket stands what lets it rest, and with h2c nothing.
func TestPlainIsPlain(t *testing.T) {
	for h2c, want := range map[bool]string{false: "*exchange.guest", true: "*net.TCPConn"} {
		r := newRig(t, func(c *config.Config, r *rig) {
			c.Server.H2C = h2c
			r.other = func(q *exchange.Request) error {
				q.Response.SetBodyString(fmt.Sprintf("%T", q.Conn()))
				return nil
			}
		})
		if _, body := r.get("plain", "/conn"); body != want {
			t.Errorf("h2c %v: %s", h2c, body)
		}
	}
}
