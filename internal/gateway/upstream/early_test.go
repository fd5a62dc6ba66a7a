package upstream

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http/httputil"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// endless is a body that counts what was read of it.
type endless struct{ read atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	e.read.Add(int64(len(p)))
	return len(p), nil
}

// gated is a body that gives a byte now and the others when the gate opens.
type gated struct {
	gate  <-chan struct{}
	begun bool
	rest  io.Reader
}

func (g *gated) Read(p []byte) (int, error) {
	if g.begun {
		<-g.gate
		return g.rest.Read(p)
	}
	g.begun = true
	return g.rest.Read(p[:1])
}

const tooLarge = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nlarge"

// The target answers when it has seen the head and does not read the body: the answer is passed on, the connection is not used again.
func TestEarlyRefusal(t *testing.T) {
	for _, closes := range []bool{true, false} {
		hang := make(chan struct{})
		address := script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
			request(from)
			_, _ = io.WriteString(conn, tooLarge)
			if !closes {
				<-hang
			}
		})
		c := client(t, Options{Address: address, MaxIdle: 1, IdleTimeout: 20 * time.Second})
		for name, call := range map[string]*Call{
			"length":  post(&endless{}, 1<<40),
			"chunked": post(&endless{}, -1),
			"whole":   whether("PUT", strings.Repeat("x", 64<<20)),
		} {
			begun := time.Now()
			resp := newResponse()
			if err := c.Do(call, resp); err != nil {
				t.Fatalf("%s, closes %v: %v", name, closes, err)
			}
			if resp.StatusCode() != 413 || string(resp.Body()) != "large" {
				t.Errorf("%s: %d %q", name, resp.StatusCode(), resp.Body())
			}
			if took := time.Since(begun); took > 5*time.Second {
				t.Errorf("%s: took %s", name, took)
			}
			if s := c.Stats(); s.Open != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		close(hang)
	}
}

// A body that comes slowly is given up on at its next piece.
func TestEarlyRefusalOfSlowBody(t *testing.T) {
	answered := make(chan struct{})
	c := client(t, Options{MaxIdle: 1, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, tooLarge)
		close(answered)
		_, _ = io.Copy(io.Discard, from)
	})})
	body := &endless{}
	call := post(&gated{gate: answered, rest: body}, 1<<40)
	resp := newResponse()
	if err := c.Do(call, resp); err != nil || resp.StatusCode() != 413 {
		t.Fatal(resp.StatusCode(), err)
	}
	if n := body.read.Load(); n > 64<<20 {
		t.Errorf("read %d bytes of the body", n)
	}
}

// A target that succeeds early may read on, and so may one that says 100.
func TestEarlySuccess(t *testing.T) {
	for _, first := range []string{ok + "Content-Length: 7\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"} {
		for _, length := range []int64{4 << 20, -1} {
			answered := make(chan struct{})
			c := client(t, Options{MaxIdle: 1, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
				request(from)
				_, _ = io.WriteString(conn, first)
				close(answered)
				body := io.LimitReader(from, 4<<20)
				if length < 0 {
					body = httputil.NewChunkedReader(from)
				}
				_, _ = io.Copy(io.Discard, body)
				if strings.HasPrefix(first, ok) {
					_, _ = io.WriteString(conn, "success")
				} else {
					_, _ = io.WriteString(conn, ok+"Content-Length: 7\r\n\r\nsuccess")
				}
				_, _ = io.Copy(io.Discard, from)
			})})
			early := 0
			call := post(&gated{gate: answered, rest: bytes.NewReader(make([]byte, 4<<20))}, length)
			call.Early = func(status int, h *fasthttp.ResponseHeader) {
				if early++; status != 103 || string(h.Peek("Link")) != "</a>" {
					t.Errorf("early %d %s", status, h)
				}
			}
			ask(t, c, call, "success")
			if want := strings.Count(first, "103"); early != want {
				t.Errorf("%d early answers", early)
			}
			if s := c.Stats(); s.Idle != 1 {
				t.Errorf("%+v", s)
			}
		}
	}
}

// What is wrong with an early answer is its own fault.
func TestEarlyNonsense(t *testing.T) {
	c := client(t, Options{MaxIdle: 1, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, "nonsense\r\n\r\n")
		_, _ = io.Copy(io.Discard, from)
	})})
	if e := refused(t, c, post(&endless{}, -1), Head); !e.Malformed || !e.Sent {
		t.Errorf("%+v", e)
	}
}

// A target that goes away while it is sent a body.
func TestGoneWhileSending(t *testing.T) {
	c := client(t, Options{MaxIdle: 1, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) { request(from) })})
	for _, length := range []int64{1 << 40, -1} {
		if e := refused(t, c, post(&endless{}, length), Send); e.Timeout || e.Malformed || !e.Sent {
			t.Errorf("%+v", e)
		}
	}
}
