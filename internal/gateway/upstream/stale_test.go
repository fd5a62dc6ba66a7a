package upstream

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"
)

func newResponse() *fasthttp.Response { return &fasthttp.Response{} }

// noticed waits until something has come on the idle connection.
func noticed(t *testing.T, c *Client) {
	t.Helper()
	soon(t, "news on the idle connection", func() bool { return !c.idle[len(c.idle)-1].quiet() })
}

func whether(method string, body string) *Call {
	call := &Call{Head: []byte(method + " / HTTP/1.1\r\nHost: t\r\n"), Method: []byte(method)}
	if body != "" {
		call.Whole = []byte(body)
	}
	return call
}

// A connection that the target has closed is replaced whatever the method is: nothing was sent on it.
func TestClosedWhileIdle(t *testing.T) {
	c := client(t, Options{MaxIdle: 8, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		r, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(conn, hello)
	})})
	calls := []*Call{get("/"), whether("POST", "data"), whether("PATCH", ""), post(strings.NewReader("data"), 4), post(strings.NewReader("data"), -1)}
	for i, call := range calls {
		ask(t, c, call, "hello")
		if s := c.Stats(); s.Dials != uint64(i+1) {
			t.Errorf("%+v after %d calls", s, i+1)
		}
		noticed(t, c)
	}
}

// All that are kept may be closed, as when the target was restarted.
func TestAllClosedWhileIdle(t *testing.T) {
	finish, restart := make(chan struct{}), make(chan struct{})
	c := client(t, Options{MaxIdle: 8, Address: script(t, func(nth int, conn net.Conn, from *bufio.Reader) {
		if nth >= 3 {
			every(hello)(nth, conn, from)
			return
		}
		request(from)
		_, _ = io.WriteString(conn, chunked+"5\r\nhello\r\n")
		<-finish
		_, _ = io.WriteString(conn, "0\r\n\r\n")
		<-restart
	})})
	calls := []*Call{hold(t, c), hold(t, c), hold(t, c)}
	close(finish)
	for _, call := range calls {
		_, _ = whole(call, newResponse())
	}
	close(restart)
	for _, k := range c.idle {
		soon(t, "the end of a connection", func() bool { return !k.quiet() })
	}
	ask(t, c, whether("POST", "data"), "hello")
	if s := c.Stats(); s.Open != 1 || s.Dials != 4 {
		t.Errorf("%+v", s)
	}
}

// What a target says without being asked is not the answer to the next call.
func TestPoison(t *testing.T) {
	c := client(t, Options{MaxIdle: 8, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		if request(from) != "" {
			_, _ = io.WriteString(conn, hello)
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
			request(from)
		}
	})})
	for range 5 {
		ask(t, c, get("/"), "hello")
		if c.Stats().Idle > 0 {
			noticed(t, c)
		}
	}
}

// The target reads the request on a kept connection and closes it.
func TestClosedInstead(t *testing.T) {
	for _, test := range []struct {
		name  string
		call  *Call
		again bool
	}{
		{"GET", get("/"), true},
		{"HEAD", whether("HEAD", ""), true},
		{"PUT", whether("PUT", "data"), true},
		{"DELETE", whether("DELETE", ""), true},
		{"POST", whether("POST", "data"), false},
		{"PATCH", whether("PATCH", "data"), false},
		{"PUT from a reader", &Call{Head: []byte("PUT / HTTP/1.1\r\n"), Method: []byte("PUT"), Body: strings.NewReader("data"), Length: 4}, false},
	} {
		for _, answer := range []string{"", "H"} {
			t.Run(test.name+"/"+answer, func(t *testing.T) {
				c := client(t, Options{MaxIdle: 8, Address: script(t, func(nth int, conn net.Conn, from *bufio.Reader) {
					request(from)
					_, _ = io.WriteString(conn, hello)
					if request(from); nth == 0 {
						if n := from.Buffered(); n > 0 { // no reset: the end only
							_, _ = from.Discard(n)
						}
						_, _ = io.WriteString(conn, answer)
					}
				})})
				ask(t, c, get("/first"), "hello")
				call := *test.call
				if r, is := call.Body.(*strings.Reader); is {
					_, _ = r.Seek(0, io.SeekStart)
				}
				if test.again && answer == "" {
					want := "hello"
					if test.name == "HEAD" {
						want = ""
					}
					ask(t, c, &call, want)
					return
				}
				if e := refused(t, c, &call, Head); !e.Sent || e.Timeout || e.Malformed {
					t.Errorf("%+v", e)
				}
				if s := c.Stats(); s.Dials != 1 {
					t.Errorf("%+v", s)
				}
			})
		}
	}
}

// A connection that is new is not tried again: that is for the caller to say.
func TestClosedAtOnce(t *testing.T) {
	c := client(t, Options{MaxIdle: 8, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) { request(from) })})
	if e := refused(t, c, get("/"), Head); !e.Sent {
		t.Errorf("%+v", e)
	}
	if s := c.Stats(); s.Dials != 1 || s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

// A place among MaxConns that is taken by idle connections is no obstacle for a fresh one.
func TestFreshAtMaxConns(t *testing.T) {
	c := client(t, Options{MaxIdle: 8, MaxConns: 1, Address: script(t, func(nth int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, hello)
		request(from)
	})})
	for range 4 {
		ask(t, c, get("/"), "hello")
	}
	if s := c.Stats(); s.Open != 1 || s.Dials < 2 {
		t.Errorf("%+v", s)
	}
}
