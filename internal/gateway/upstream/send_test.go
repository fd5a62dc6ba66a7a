package upstream

import (
	"bufio"
	"io"
	"net"
	"testing"
	"time"
)

// sent is a call whose request is on its way over a connection that has served one before.
func sent(t *testing.T, c *Client, call *Call) *Call {
	t.Helper()
	ask(t, c, get("/"), "hello")
	if !c.Send(call) {
		t.Fatal("not sent")
	}
	return call
}

// Two requests are on their way before either is waited for.
func TestSend(t *testing.T) {
	release := make(chan string, 1)
	script := func(t *testing.T) *Client {
		return client(t, Options{MaxIdle: 8, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
			request(from)
			_, _ = io.WriteString(conn, hello)
			for request(from) != "" {
				_, _ = io.WriteString(conn, <-release)
			}
		})})
	}
	a, b := script(t), script(t)
	first, second := sent(t, a, get("/")), sent(t, b, get("/"))
	if a.Await(first, brief) {
		t.Error("an answer before there is one")
	}
	release <- hello
	release <- hello
	for _, one := range []struct {
		*Client
		*Call
	}{{b, second}, {a, first}} {
		if !one.Await(one.Call, 10*time.Second) {
			t.Error("no answer")
		}
		ask(t, one.Client, one.Call, "hello")
		if s := one.Stats(); s.Dials != 1 || s.Idle != 1 {
			t.Errorf("%+v", s)
		}
	}
}

// What cannot be sent without waiting is left to Do.
func TestSendNothing(t *testing.T) {
	c := client(t, Options{MaxIdle: 8, Address: script(t, every(hello))})
	long := get("/")
	long.Whole = make([]byte, bufferSize)
	past := get("/")
	past.Deadline = time.Now().Add(-time.Second)
	if c.Send(get("/")) {
		t.Error("sent without a connection")
	}
	ask(t, c, get("/"), "hello")
	for name, call := range map[string]*Call{"long": long, "past": past, "CONNECT": {Method: []byte("CONNECT")}} {
		if c.Send(call) || call.on != nil {
			t.Errorf("%s: sent", name)
		}
	}
	ask(t, c, get("/"), "hello")
}

// A kept connection that ends instead of answering is replaced, if the request may be sent twice.
func TestSendOnAClosing(t *testing.T) {
	for _, test := range []struct {
		method string
		again  bool
	}{{"GET", true}, {"POST", false}} {
		for _, waited := range []bool{false, true} {
			c := client(t, Options{MaxIdle: 8, Address: script(t, func(nth int, conn net.Conn, from *bufio.Reader) {
				request(from)
				_, _ = io.WriteString(conn, hello)
				if nth == 0 {
					request(from)
				}
			})})
			call := sent(t, c, whether(test.method, ""))
			if waited && !c.Await(call, 10*time.Second) {
				t.Error("the end is not seen")
			}
			if test.again {
				ask(t, c, call, "hello")
			} else if e := refused(t, c, call, Head); !e.Sent {
				t.Errorf("%+v", e)
			}
		}
	}
}

// One that is closed already gets nothing.
func TestSendOnAClosed(t *testing.T) {
	c := client(t, Options{MaxIdle: 8, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, hello)
	})})
	ask(t, c, get("/"), "hello")
	noticed(t, c)
	call := whether("POST", "data")
	c.Send(call)
	ask(t, c, call, "hello")
}

// The time for the head counts from Send on, whoever waits.
func TestSendTimes(t *testing.T) {
	c := client(t, Options{MaxIdle: 8, HeaderTimeout: brief, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, hello)
		request(from)
		request(from)
	})})
	call := sent(t, c, get("/"))
	if c.Await(call, time.Millisecond) {
		t.Error("an answer")
	}
	if e := refused(t, c, call, Head); !e.Timeout {
		t.Errorf("%+v", e)
	}
}
