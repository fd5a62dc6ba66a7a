package upstream

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// mute reads requests and then says what it is told to, and no more.
func mute(t *testing.T, says string) string {
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	return script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, says)
		<-hang
	})
}

const brief = 60 * time.Millisecond

// late runs a call that has to fail because of a time that is over, and not by much.
func late(t *testing.T, c *Client, call *Call, stage Stage) {
	t.Helper()
	begun := time.Now()
	e := refused(t, c, call, stage)
	if !e.Timeout || e.Malformed {
		t.Errorf("%+v", e)
	}
	if took := time.Since(begun); took < brief/2 || took > 5*time.Second {
		t.Errorf("took %s", took)
	}
	if s := c.Stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestTimes(t *testing.T) {
	for _, test := range []struct {
		name  string
		says  string
		call  *Call
		stage Stage
	}{
		{"head", "", get("/"), Head},
		{"half a head", ok + "X-A", get("/"), Head},
		{"after 100", "HTTP/1.1 100 Continue\r\n\r\n", get("/"), Head},
		{"body in memory", ok + "Content-Length: 5\r\n\r\nhel", get("/"), Body},
		{"long body", ok + "Content-Length: 500000\r\n\r\nhel", get("/"), Body},
		{"chunked body", chunked + "5\r\nhel", get("/"), Body},
		{"body until close", ok + "\r\nhel", get("/"), Body},
		{"sending", "", post(&endless{}, 1<<40), Send},
		{"sending chunks", "", post(&endless{}, -1), Send},
		{"sending after success", ok + "Content-Length: 5\r\n\r\n", post(&endless{}, -1), Send},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			call := *test.call
			late(t, client(t, Options{Address: mute(t, test.says), HeaderTimeout: brief, IdleTimeout: brief}), &call, test.stage)
			call = *test.call
			call.Deadline = time.Now().Add(brief)
			late(t, client(t, Options{Address: mute(t, test.says)}), &call, test.stage)
		})
	}
}

// A head that drips does not get its time again with every byte.
func TestDrip(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	c := client(t, Options{HeaderTimeout: 4 * brief, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		tick := time.NewTicker(brief)
		defer tick.Stop()
		_, _ = io.WriteString(conn, ok+"X-A: ")
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				_, _ = io.WriteString(conn, "b")
			}
		}
	})})
	late(t, c, get("/"), Head)
}

// A body may take longer than any pause in it.
func TestSteadyBody(t *testing.T) {
	for _, head := range []string{ok + "Content-Length: 10\r\n\r\n", ok + "\r\n", ok + "Content-Length: 10\r\nTrailer: a\r\n\r\n"} {
		c := client(t, Options{IdleTimeout: 4 * brief, HeaderTimeout: time.Minute, Inline: 5, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
			request(from)
			_, _ = io.WriteString(conn, head)
			tick := time.NewTicker(brief)
			defer tick.Stop()
			for range 10 {
				<-tick.C
				_, _ = io.WriteString(conn, "b")
			}
		})})
		ask(t, c, get("/"), "bbbbbbbbbb")
	}
}

func TestPastDeadline(t *testing.T) {
	c := client(t, Options{Address: mute(t, hello)})
	call := get("/")
	call.Deadline = time.Now().Add(-time.Second)
	if e := refused(t, c, call, Connect); !e.Timeout || e.Sent {
		t.Errorf("%+v", e)
	}
}

func TestConnectFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if e := refused(t, client(t, Options{Address: l.Addr().String()}), get("/"), Connect); e.Timeout || e.Sent {
		t.Errorf("%+v", e)
	}
	if e := refused(t, client(t, Options{Network: "unix", Address: t.TempDir() + "/none"}), get("/"), Connect); e.Timeout {
		t.Errorf("%+v", e)
	}
	// A target that accepts and says nothing of TLS.
	late(t, client(t, Options{Address: mute(t, ""), TLS: &tls.Config{}, ConnectTimeout: brief}), get("/"), Connect)
}

// A call that nobody waits for any more is given up in any stage, over TLS as well, and not tried again; one that takes long is not.
func TestGone(t *testing.T) {
	for _, says := range []string{"", ok + "Content-Length: 5\r\n\r\nhel", ok + "Content-Length: 500000\r\n\r\nhel", chunked + "5\r\nhel"} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprintf("%.40q %t", says, secure), func(t *testing.T) {
				t.Parallel()
				closed := make(chan error, 1)
				serve := func(_ int, conn net.Conn, from *bufio.Reader) {
					request(from)
					_, _ = io.WriteString(conn, says)
					_, err := from.ReadByte()
					closed <- err
				}
				o := secured(t, serve)
				if !secure {
					o = Options{Address: script(t, serve)}
				}
				asked := 0
				call := get("/")
				call.Gone = func() bool { asked++; return asked == 2 }
				stage := Head
				if says != "" {
					stage = Body
				}
				begun := time.Now()
				if e := refused(t, client(t, o), call, stage); e.Err != ErrGone || e.Timeout || e.Malformed {
					t.Errorf("%+v", e)
				}
				if took := time.Since(begun); took < time.Second || took > 5*time.Second {
					t.Errorf("it took %s", took)
				}
				if err := <-closed; err == nil {
					t.Error("the target was not told")
				}
			})
		}
	}
	t.Run("sending", func(t *testing.T) {
		t.Parallel()
		call := post(&endless{}, 1<<40)
		call.Gone = func() bool { return true }
		if e := refused(t, client(t, Options{Address: mute(t, "")}), call, Send); e.Err != ErrGone {
			t.Errorf("%+v", e)
		}
	})
}
