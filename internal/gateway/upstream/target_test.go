package upstream

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// script is a target on a real socket: serve gets each connection with its number, and the connection is closed when it returns.
func script(t testing.TB, serve func(nth int, conn net.Conn, from *bufio.Reader)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for nth := 0; ; nth++ {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				serve(nth, conn, bufio.NewReader(conn))
			}()
		}
	}()
	return l.Addr().String()
}

// request reads the head of a request; "" at the end of the connection.
func request(from *bufio.Reader) string {
	var b strings.Builder
	for {
		line, err := from.ReadString('\n')
		if err != nil {
			return ""
		}
		if b.WriteString(line); line == "\r\n" {
			return b.String()
		}
	}
}

// every answers each request without body in the same way.
func every(answer string) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, conn net.Conn, from *bufio.Reader) {
		for request(from) != "" {
			_, _ = io.WriteString(conn, answer)
		}
	}
}

const hello = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// client is closed with the test, and must not have lost count of its connections then.
func client(t testing.TB, o Options) *Client {
	if o.Network == "" {
		o.Network = "tcp"
	}
	c := New(o)
	t.Cleanup(func() {
		c.Close()
		if s := c.Stats(); s.Open != 0 || s.Idle != 0 {
			t.Errorf("left open: %+v", s)
		}
	})
	return c
}

func get(path string) *Call {
	return &Call{Head: []byte("GET " + path + " HTTP/1.1\r\nHost: t\r\n"), Method: []byte("GET")}
}

func post(body io.Reader, length int64) *Call {
	return &Call{Head: []byte("POST / HTTP/1.1\r\nHost: t\r\n"), Method: []byte("POST"), Body: body, Length: length}
}

// whole is the body of an answer, wherever it is.
func whole(call *Call, resp *fasthttp.Response) (string, error) {
	if call.Stream == nil {
		return string(resp.Body()), nil
	}
	defer call.Stream.Close()
	b, err := io.ReadAll(struct{ io.Reader }{call.Stream})
	return string(b), err
}

// ask does a call that has to succeed.
func ask(t testing.TB, c *Client, call *Call, want string) *fasthttp.Response {
	t.Helper()
	resp := &fasthttp.Response{}
	if err := c.Do(call, resp); err != nil {
		t.Fatalf("%v", err)
	}
	if body, err := whole(call, resp); err != nil || body != want {
		t.Fatalf("body %q, %v; want %q", body, err, want)
	}
	return resp
}

// refused does a call that has to fail.
func refused(t testing.TB, c *Client, call *Call, stage Stage) *Error {
	t.Helper()
	resp := &fasthttp.Response{}
	err := c.Do(call, resp)
	if err == nil {
		_, err = whole(call, resp)
	}
	var e *Error
	if !errors.As(err, &e) || e.Stage != stage {
		t.Fatalf("error %v, want one of stage %s", err, stage)
	}
	return e
}

// soon waits until ok.
func soon(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !ok(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}
