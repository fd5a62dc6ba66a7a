package exchange

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// resting starts a server that answers with the length of the body, and connects to it.
func resting(t *testing.T, idle time.Duration) (*Server, func() (net.Conn, *bufio.Reader)) {
	t.Helper()
	s := NewServer(Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: idle, Rest: true, Log: slog.New(slog.DiscardHandler),
		Admit: func(*Request) error { return nil },
		Serve: func(r *Request) error {
			body, err := r.Body(1 << 20)
			if err == nil {
				r.Response.SetBodyString(fmt.Sprint(len(body)))
			}
			return err
		}})
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s, func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", s.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		_ = c.SetDeadline(time.Now().Add(20 * time.Second))
		return c, bufio.NewReader(c)
	}
}

func answered(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || string(body) != want {
		t.Fatalf("%q %v, want %s", body, err, want)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for tick := time.NewTicker(2 * time.Millisecond); !ok(); {
		select {
		case <-deadline:
			t.Fatal("never: ", what)
		case <-tick.C:
		}
	}
}

func (s *Server) sleepers() int {
	if s.rest.engine == nil {
		return 0
	}
	return s.rest.engine.Len()
}

// atRest waits until so many connections rest.
func atRest(t *testing.T, s *Server, n int) {
	t.Helper()
	eventually(t, fmt.Sprint(n, " connections at rest"), func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns) == 0 && s.sleepers() == n
	})
}

func TestRest(t *testing.T) {
	s, dial := resting(t, time.Minute)
	const get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
	long := strings.Repeat("x", 100_000)
	for name, send := range map[string][]string{
		"a request":           {get},
		"two at once":         {get + get},
		"a head in pieces":    {"GET", " / HTTP/1.1\r\nHo", "st: x\r\n\r\n"},
		"a long body":         {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" + long},
		"a body after a head": {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n", "abc"},
	} {
		t.Run(name, func(t *testing.T) {
			c, r := dial()
			_, _ = io.WriteString(c, get)
			answered(t, r, "0")
			for range 2 {
				atRest(t, s, 1)
				if open := s.open.Load(); open != 1 {
					t.Errorf("%d connections are open", open)
				}
				for _, piece := range send {
					_, _ = io.WriteString(c, piece)
				}
				switch {
				case strings.Contains(name, "two"):
					answered(t, r, "0")
					answered(t, r, "0")
				case strings.Contains(name, "long"):
					answered(t, r, "100000")
				case strings.Contains(name, "body"):
					answered(t, r, "3")
				default:
					answered(t, r, "0")
				}
			}
			_ = c.Close()
			eventually(t, "the connection is gone", func() bool { return s.open.Load() == 0 && s.sleepers() == 0 })
		})
	}
}

func TestRestEnds(t *testing.T) {
	t.Run("after IdleTimeout", func(t *testing.T) {
		s, dial := resting(t, 700*time.Millisecond)
		c, r := dial()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		answered(t, r, "0")
		atRest(t, s, 1)
		if _, err := r.ReadByte(); err != io.EOF {
			t.Error(err)
		}
		eventually(t, "the connection is gone", func() bool { return s.open.Load() == 0 })
	})
	t.Run("with a broken request", func(t *testing.T) {
		s, dial := resting(t, time.Minute)
		c, r := dial()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		answered(t, r, "0")
		atRest(t, s, 1)
		_, _ = io.WriteString(c, "nonsense\r\n\r\n")
		if answer, err := http.ReadResponse(r, nil); err != nil || answer.StatusCode != 400 {
			t.Error(answer, err)
		}
		eventually(t, "the connection is gone", func() bool { return s.open.Load() == 0 })
	})
	t.Run("with the server", func(t *testing.T) {
		s, dial := resting(t, time.Minute)
		c, r := dial()
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		answered(t, r, "0")
		atRest(t, s, 1)
		if err := s.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if _, err := r.ReadByte(); err != io.EOF {
			t.Error(err)
		}
		if open := s.open.Load(); open != 0 {
			t.Errorf("%d connections are open", open)
		}
	})
}

// Many clients whose pauses are about as long as the time after which connections rest get every answer.
func TestRestUnderLoad(t *testing.T) {
	s, dial := resting(t, time.Minute)
	done := make(chan struct{})
	const clients = 40
	for i := range clients {
		c, r := dial()
		go func() {
			defer func() { done <- struct{}{} }()
			for n := range 6 {
				if _, err := io.WriteString(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"); err != nil {
					t.Error(err)
					return
				}
				answer, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				<-time.After(restAfter + time.Duration(i-clients/2+n)*time.Millisecond)
			}
			_ = c.Close()
		}()
	}
	for range clients {
		<-done
	}
	eventually(t, "all are gone", func() bool { return s.open.Load() == 0 && s.sleepers() == 0 })
}
