package door

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"golang.org/x/net/http2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// Those that run in parallel wait most of the time: for timeouts, and for other processes.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8")
	m.Run()
}

// authority signs the certificates of tests.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, _ := x509.ParseCertificate(der)
	a := &authority{cert, key, x509.NewCertPool()}
	a.pool.AddCert(cert)
	return a
}

// write makes a certificate and returns the names of its files.
func (a *authority) write(t testing.TB, folder, common string, names ...string) (string, string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: common}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, private := filepath.Join(folder, common+".pem"), filepath.Join(folder, common+".key")
	writePEM(t, cert, "CERTIFICATE", der)
	writePEM(t, private, "PRIVATE KEY", raw)
	return cert, private
}

func writePEM(t testing.TB, file, kind string, der []byte) {
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
}

// rig is a set of doors before a small handler.
type rig struct {
	*Doors
	t         testing.TB
	authority *authority
	folder    string
	config    *config.Config
	closed    chan struct{} // a value for each body of /endless that was closed
	done      chan exchange.Outcome
	begun     chan struct{}    // a value for each request of /slow
	log       io.Writer        // that of the test, unless set
	other     exchange.Handler // of paths that it does not know itself
}

// newRig opens doors; change sees the configuration before.
func newRig(t testing.TB, change func(c *config.Config, r *rig)) *rig {
	r := &rig{t: t, authority: newAuthority(t), folder: t.TempDir(), config: config.Default(), closed: make(chan struct{}, 100), done: make(chan exchange.Outcome, 100), begun: make(chan struct{}, 100)}
	c := r.config
	c.Server.Listen = "127.0.0.1:0"
	c.Server.HeaderTimeout, c.Server.IdleTimeout = 5*time.Second, 5*time.Second
	cert, key := r.authority.write(t, r.folder, "main", "localhost", "127.0.0.1", "example.com")
	c.Server.TLS = &config.TLS{Listen: "127.0.0.1:0", MinVersion: "1.2", ClientAuth: "none", Certificates: []config.Certificate{{Certificate: cert, Key: key}}}
	if change != nil {
		change(c, r)
	}
	if r.log == nil {
		r.log = testWriter{t}
	}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	doors := New(Options{Config: c, Log: log, Exchange: exchange.Options{
		Plane: "edge", Log: log, Admit: func(r *exchange.Request) error { return nil }, Serve: r.serve,
	}})
	r.Doors = doors
	if err := doors.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second) // clients that are given up may not answer
		defer cancel()
		_ = doors.Stop(ctx)
	})
	return r
}

// told keeps the lines of a log that there is room for.
type told chan string

func (l told) Write(b []byte) (int, error) {
	select {
	case l <- string(b):
	default:
	}
	return len(b), nil
}

type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	if testing.Verbose() {
		fmt.Print(string(b))
	}
	return len(b), nil
}

// endless is a body that gives a line whenever it is read, and blocks after the first one until it is closed.
type endless struct {
	reads int
	quit  chan struct{}
	rig   *rig
}

func (e *endless) Read(p []byte) (int, error) {
	if e.reads++; e.reads == 1 {
		return copy(p, "first\n"), nil
	}
	<-e.quit
	return 0, errors.New("closed")
}

func (e *endless) Close() error {
	e.rig.closed <- struct{}{}
	return nil
}

func (r *rig) serve(q *exchange.Request) error {
	h := &q.Response.Header
	switch path := string(q.Path()); path {
	case "/hello":
		h.Set("X-Proto", string(q.Request.Header.Protocol()))
		q.JSON(200, fmt.Appendf(nil, `{"client":%q,"secure":%v,"host":%q,"uri":%q,"scheme":%q}`, q.Client(), q.Secure(), q.Host(), q.RequestURI(), q.URI().Scheme()))
	case "/echo":
		body, err := q.Body(1 << 20)
		if err != nil {
			return err
		}
		q.Response.SetBody(body)
	case "/slow":
		r.begun <- struct{}{}
		body, err := q.Body(1 << 20)
		if err != nil {
			return err
		}
		q.Response.SetBody(body)
	case "/pipe": // what comes goes
		q.Standard.Taken = true
		w := http.NewResponseController(q.Standard.Writer)
		for buffer := make([]byte, 1024); ; {
			n, err := q.Standard.Request.Body.Read(buffer)
			if _, failed := q.Standard.Writer.Write(buffer[:n]); failed != nil || err != nil {
				q.Standard.Aborted = failed != nil || err != io.EOF
				return nil
			}
			_ = w.Flush()
		}
	case "/who":
		name := ""
		if certs := q.PeerCertificates(); len(certs) > 0 {
			name = certs[0].Subject.CommonName
		}
		q.Response.SetBodyString(name)
	case "/stream":
		q.OnDone(func(o exchange.Outcome) { r.done <- o })
		q.Answer(io.LimitReader(neverending('x'), 100_000), -1)
	case "/sized":
		q.Answer(io.LimitReader(neverending('x'), 100_000), 100_000)
	case "/short":
		q.OnDone(func(o exchange.Outcome) { r.done <- o })
		q.Answer(io.LimitReader(neverending('x'), 10), 100)
	case "/trailers":
		if err := h.SetTrailer("X-Sum"); err != nil {
			return err
		}
		q.Answer(&atEnd{strings.NewReader("body"), func() { h.Set("X-Sum", "42") }}, -1)
	case "/endless":
		e := &endless{quit: make(chan struct{}), rig: r}
		q.OnDone(func(o exchange.Outcome) { r.done <- o })
		q.WatchClient(func() { close(e.quit) })
		q.Answer(e, -1)
	case "/cookies":
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		q.Response.SetBody(q.Request.Header.Peek("Cookie"))
	case "/hijack":
		q.Hijack(func(net.Conn) {})
	case "/taken":
		if q.Standard == nil {
			return nil
		}
		q.Standard.Writer.WriteHeader(299)
		_, _ = io.WriteString(q.Standard.Writer, "raw")
		q.Standard.Taken = true
		q.Response.SetStatusCode(299)
	case "/panic":
		panic("as asked")
	case "/none":
		q.Response.SetStatusCode(204)
	default:
		if r.other != nil {
			return r.other(q)
		}
	}
	return nil
}

type neverending byte

func (b neverending) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(b)
	}
	return len(p), nil
}

type atEnd struct {
	io.Reader
	f func()
}

func (a *atEnd) Read(p []byte) (int, error) {
	n, err := a.Reader.Read(p)
	if err == io.EOF {
		a.f()
	}
	return n, err
}

// client speaks the protocol with certificates of the rig's authority.
func (r *rig) client(protocol string, own ...tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost", Certificates: own}
	t := &http.Transport{TLSClientConfig: config, DisableKeepAlives: protocol == "h1"}
	t.Protocols = new(http.Protocols)
	switch protocol {
	case "h1":
		t.Protocols.SetHTTP1(true)
	case "h2":
		t.Protocols.SetHTTP2(true)
	case "h2c":
		t.Protocols.SetUnencryptedHTTP2(true)
	case "h3":
		return &http.Client{Transport: newTransport3(r.t, config), Timeout: 10 * time.Second}
	}
	r.t.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t, Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// url is an address of the door that the protocol has.
func (r *rig) url(protocol, path string) string {
	if protocol == "h2c" || protocol == "plain" {
		return "http://" + r.Addr().String() + path
	}
	return "https://" + r.SecureAddr().String() + path
}

func (r *rig) get(protocol, path string) (*http.Response, string) {
	r.t.Helper()
	resp, err := r.client(protocol).Get(r.url(protocol, path))
	if err != nil {
		r.t.Fatal(protocol, path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(protocol, path, err)
	}
	return resp, string(body)
}

// frames is a connection with HTTP/2 after the preface, by TLS.
func (r *rig) frames() (net.Conn, *http2.Framer) {
	c, err := tls.Dial("tcp", r.SecureAddr().String(), &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost", NextProtos: []string{"h2"}})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	w := bufio.NewWriter(c)
	_, _ = w.WriteString(http2.ClientPreface)
	_ = w.Flush()
	f := http2.NewFramer(c, c)
	if err := f.WriteSettings(); err != nil {
		r.t.Fatal(err)
	}
	return c, f
}

func wait[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(30 * time.Second):
		t.Fatal("it did not come")
		panic(0)
	}
}

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

// open is how many connections are open.
func open(t testing.TB, r *rig) int {
	t.Helper()
	metrics := make(chan prometheus.Metric, 100)
	r.Server.Metrics.Collect(metrics)
	close(metrics)
	for m := range metrics {
		var out dto.Metric
		if strings.Contains(m.Desc().String(), "connections_open") && m.Write(&out) == nil {
			return int(out.GetGauge().GetValue())
		}
	}
	t.Fatal("no such metric")
	return 0
}
