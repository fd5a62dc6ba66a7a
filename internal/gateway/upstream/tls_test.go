package upstream

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// secured is a target that speaks TLS, and the options for it.
func secured(t *testing.T, serve func(nth int, conn net.Conn, from *bufio.Reader)) Options {
	t.Helper()
	s := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	s.Close()
	roots := x509.NewCertPool()
	roots.AddCert(s.Certificate())
	address := script(t, func(nth int, conn net.Conn, _ *bufio.Reader) {
		over := tls.Server(conn, s.TLS)
		defer over.Close()
		serve(nth, over, bufio.NewReader(over))
	})
	return Options{Network: "tcp", Address: address, MaxIdle: 8, TLS: &tls.Config{RootCAs: roots}}
}

func TestTLS(t *testing.T) {
	c := client(t, secured(t, echo))
	for range 3 {
		ask(t, c, get("/"), "GET 0 [] 0 true  ")
		ask(t, c, whether("POST", "data"), "POST 4 [] 4 true  ")
		ask(t, c, whether("PUT", strings.Repeat("x", 1<<20)), "PUT 1048576 [] 1048576 true  ")
		ask(t, c, post(bytes.NewReader(make([]byte, 1<<20)), -1), "POST -1 [chunked] 1048576 true  ")
	}
	if s := c.Stats(); s.Dials != 1 || s.Reused != 11 {
		t.Errorf("%+v", s)
	}
}

func TestCertificateIsChecked(t *testing.T) {
	o := secured(t, echo)
	o.TLS.ServerName = "elsewhere"
	if e := refused(t, client(t, o), get("/"), Connect); e.Timeout || e.Sent {
		t.Errorf("%+v", e)
	}
	o.TLS = &tls.Config{}
	if e := refused(t, client(t, o), get("/"), Connect); e.Timeout || e.Sent {
		t.Errorf("%+v", e)
	}
}

// What comes behind an answer is poison whether TLS has read it already, in the same record, or has not.
func TestPoisonOverTLS(t *testing.T) {
	const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
	body := strings.Repeat("b", 9000)
	answer := ok + "Content-Length: 9000\r\n\r\n" + body
	for name, serve := range map[string]func(conn net.Conn, from *bufio.Reader){
		"same record": func(conn net.Conn, from *bufio.Reader) {
			_, _ = io.WriteString(conn, answer[:100])
			_, _ = io.WriteString(conn, answer[100:]+poison)
		},
		"next record": func(conn net.Conn, from *bufio.Reader) {
			_, _ = io.WriteString(conn, answer)
			_, _ = io.WriteString(conn, poison)
		},
	} {
		o := secured(t, func(_ int, conn net.Conn, from *bufio.Reader) {
			request(from)
			serve(conn, from)
			request(from)
		})
		o.Inline = 100 // a stream reads no more than the body
		c := client(t, o)
		for range 4 {
			call, resp := get("/"), newResponse()
			if err := c.Do(call, resp); err != nil {
				t.Fatal(err)
			}
			got := make([]byte, 9000)
			if _, err := io.ReadFull(call.Stream, got); err != nil || string(got) != body {
				t.Fatalf("%s: %v %.20q", name, err, got)
			}
			if name == "next record" && c.Stats().Idle == 1 {
				k := c.idle[0]
				soon(t, "the poison", func() bool { return !k.silent() })
			}
		}
	}
}

func TestTargetEndsTLS(t *testing.T) {
	c := client(t, secured(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, hello)
	}))
	for range 3 {
		ask(t, c, whether("POST", "data"), "hello")
		noticed(t, c)
	}
	if s := c.Stats(); s.Dials != 3 {
		t.Errorf("%+v", s)
	}
}

// The end of a connection without the end of TLS is a cut, not the end of a body.
func TestCutTLS(t *testing.T) {
	for end, cut := range map[string]bool{"proper": false, "cut": true} {
		c := client(t, secured(t, func(_ int, conn net.Conn, from *bufio.Reader) {
			request(from)
			_, _ = io.WriteString(conn, ok+"\r\nhello")
			if end == "cut" {
				conn.(*tls.Conn).NetConn().Close()
			}
		}))
		call := get("/")
		if err := c.Do(call, newResponse()); err != nil {
			t.Fatal(err)
		}
		if body, err := whole(call, nil); body != "hello" || (err != nil) != cut {
			t.Errorf("%s: %q %v", end, body, err)
		}
	}
}

func TestEarlyRefusalOverTLS(t *testing.T) {
	hang := make(chan struct{})
	defer close(hang)
	o := secured(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, tooLarge)
		_, _ = io.Copy(io.Discard, from)
	})
	c := client(t, o)
	begun, resp := time.Now(), newResponse()
	if err := c.Do(post(&endless{}, 1<<40), resp); err != nil || resp.StatusCode() != 413 || time.Since(begun) > 10*time.Second {
		t.Fatal(resp.StatusCode(), err, time.Since(begun))
	}
}
