package upstream

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// long is an answer whose body is a stream that ends when the target wants it to.
func long(finish <-chan struct{}) func(int, net.Conn, *bufio.Reader) {
	return func(_ int, conn net.Conn, from *bufio.Reader) {
		for head := request(from); head != ""; head = request(from) {
			if !strings.HasPrefix(head, "GET /long") {
				_, _ = io.WriteString(conn, hello)
				continue
			}
			_, _ = io.WriteString(conn, chunked+"5\r\nhello\r\n")
			<-finish
			_, _ = io.WriteString(conn, "0\r\n\r\n")
		}
	}
}

// hold begins a call that keeps its connection until it is read to its end.
func hold(t *testing.T, c *Client) *Call {
	t.Helper()
	call := get("/long")
	if err := c.Do(call, newResponse()); err != nil {
		t.Fatal(err)
	}
	return call
}

func TestPoolTakesTheLastOne(t *testing.T) {
	finish := make(chan struct{})
	c := client(t, Options{Address: script(t, long(finish)), MaxIdle: 8})
	first, second := hold(t, c), hold(t, c)
	close(finish)
	for _, call := range []*Call{first, second} {
		if body, err := whole(call, newResponse()); body != "hello" || err != nil {
			t.Fatal(body, err)
		}
	}
	last := c.idle[1]
	ask(t, c, get("/"), "hello")
	if c.idle[1] != last {
		t.Error("not the connection that was used last")
	}
	if s := c.Stats(); s != (Stats{Open: 2, Idle: 2, Dials: 2, Reused: 1}) {
		t.Errorf("%+v", s)
	}
}

func TestMaxIdle(t *testing.T) {
	for most, want := range []int{0, 1, 2, 2} {
		finish := make(chan struct{})
		c := client(t, Options{Address: script(t, long(finish)), MaxIdle: most})
		first, second := hold(t, c), hold(t, c)
		close(finish)
		for _, call := range []*Call{first, second} {
			_, _ = whole(call, newResponse())
		}
		if s := c.Stats(); s.Open != want || s.Idle != want {
			t.Errorf("at most %d: %+v", most, s)
		}
	}
}

func TestMaxConns(t *testing.T) {
	finish := make(chan struct{})
	c := client(t, Options{Address: script(t, long(finish)), MaxIdle: 8, MaxConns: 2, ConnectTimeout: 50 * time.Millisecond})
	first, second := hold(t, c), hold(t, c)
	if e := refused(t, c, get("/"), Busy); !e.Timeout || e.Sent {
		t.Errorf("%+v", e)
	}
	if n := len(c.waiting); n != 0 {
		t.Errorf("%d still wait", n)
	}
	close(finish)
	for _, call := range []*Call{first, second} {
		_, _ = whole(call, newResponse())
	}
	ask(t, c, get("/"), "hello")
	if s := c.Stats(); s.Open != 2 || s.Dials != 2 {
		t.Errorf("%+v", s)
	}
}

// waiters starts calls one after the other that all have to wait.
func waiters(t *testing.T, c *Client, n int) <-chan error {
	ended := make(chan error, n)
	for i := range n {
		go func() { ended <- c.Do(get("/"+string(rune('a'+i))), newResponse()) }()
		soon(t, "a waiter", func() bool {
			c.mu.Lock()
			defer c.mu.Unlock()
			return len(c.waiting) == i+1
		})
	}
	return ended
}

func TestTurns(t *testing.T) {
	for _, kept := range []bool{true, false} {
		finish, order := make(chan struct{}), make(chan string, 8)
		c := client(t, Options{MaxIdle: 8, MaxConns: 1, ConnectTimeout: 20 * time.Second, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
			for head := request(from); head != ""; head = request(from) {
				if strings.HasPrefix(head, "GET /long") {
					_, _ = io.WriteString(conn, chunked+"5\r\nhello\r\n")
					<-finish
					_, _ = io.WriteString(conn, "0\r\n\r\n")
					continue
				}
				order <- head[5:6]
				if _, _ = io.WriteString(conn, hello); !kept {
					return
				}
			}
		})})
		call := hold(t, c)
		ended := waiters(t, c, 3)
		if kept { // the connection itself is handed on, else leave to dial
			close(finish)
			_, _ = whole(call, newResponse())
		} else {
			call.Stream.Close()
			close(finish)
		}
		for range 3 {
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
		}
		if got := <-order + <-order + <-order; got != "abc" {
			t.Errorf("order %s", got)
		}
		if s := c.Stats(); s.Open > 1 || kept && s.Dials != 1 {
			t.Errorf("%+v", s)
		}
	}
}

func TestTurnsWithoutTarget(t *testing.T) {
	finish := make(chan struct{})
	defer close(finish)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		conn, _ := l.Accept()
		l.Close()
		long(finish)(0, conn, bufio.NewReader(conn))
	}()
	c := client(t, Options{Address: l.Addr().String(), MaxIdle: 8, MaxConns: 1, ConnectTimeout: 20 * time.Second})
	call := hold(t, c)
	ended := waiters(t, c, 3)
	call.Stream.Close()
	for range 3 { // each failure passes the place on
		if e, _ := (<-ended).(*Error); e == nil || e.Stage != Connect || e.Timeout || e.Sent {
			t.Errorf("%+v", e)
		}
	}
}

func TestKeepAlive(t *testing.T) {
	c := client(t, Options{Address: script(t, every(hello)), MaxIdle: 8, KeepAlive: 30 * time.Millisecond})
	for range 2 { // the sweeper stops and begins again
		ask(t, c, get("/"), "hello")
		soon(t, "the end of an idle connection", func() bool { return c.Stats() == Stats{Dials: c.Stats().Dials, Reused: c.Stats().Reused} })
	}
	if c.sweeper != nil {
		t.Error("sweeps nothing")
	}
}

func TestClose(t *testing.T) {
	finish := make(chan struct{})
	c := client(t, Options{Address: script(t, long(finish)), MaxIdle: 8})
	call := hold(t, c)
	ask(t, c, get("/"), "hello")
	c.Close()
	if s := c.Stats(); s.Open != 1 || s.Idle != 0 {
		t.Errorf("%+v", s)
	}
	ask(t, c, get("/"), "hello") // who has picked the target before is served
	close(finish)
	if body, err := whole(call, newResponse()); body != "hello" || err != nil {
		t.Error(body, err)
	}
	if s := c.Stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
}
