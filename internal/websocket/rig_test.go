package websocket_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/park"
	"github.com/headrace/headrace/internal/websocket"
)

const patience = 20 * time.Second

var serve = flag.String("echo", "", "serve an echo server at this address until interrupted, for foreign test suites")

// TestServe is an echo server for clients outside, such as testdata/autobahn.py: go test -run TestServe -echo 127.0.0.1:9001 ./internal/websocket
func TestServe(t *testing.T) {
	if *serve == "" {
		t.Skip("no -echo address")
	}
	s := startEcho(t, *serve, 64<<20, true)
	t.Log("listening on", s.address)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
}

// server echoes messages: TCP, parked connections, and this package.
type server struct {
	address string
	limits  [2]websocket.Limits // without and with deflate
	offer   websocket.Offer
	engine  *park.Engine
}

func startEcho(t testing.TB, address string, limit int, deflate bool) *server {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	e, err := park.New(park.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{address: l.Addr().String(), engine: e, offer: websocket.Offer{Deflate: deflate, Protocols: []string{"chat"}}}
	s.limits = [2]websocket.Limits{{Message: limit}, {Message: limit, Deflate: true}}
	t.Cleanup(func() {
		l.Close()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.shake(c)
		}
	}()
	return s
}

func (s *server) shake(c net.Conn) {
	in := bufio.NewReader(c)
	r, err := http.ReadRequest(in)
	if err != nil {
		c.Close()
		return
	}
	a, refusal := websocket.Accept(r.Method, func(name string) string {
		var all []byte
		for i, v := range r.Header.Values(name) {
			if i > 0 {
				all = append(all, ',')
			}
			all = append(all, v...)
		}
		return string(all)
	}, s.offer)
	if refusal != nil {
		fmt.Fprintf(c, "HTTP/1.1 %d no\r\n%s: %s\r\nContent-Length: 0\r\n\r\n", refusal.Status, refusal.Name, refusal.Value)
		c.Close()
		return
	}
	c.Write(a.AppendResponse(nil))
	early, _ := in.Peek(in.Buffered())
	h := &session{deflate: a.Deflate, reader: websocket.NewReader(&s.limits[0])}
	if a.Deflate {
		h.reader = websocket.NewReader(&s.limits[1])
	}
	h.free.L = &h.mu
	if _, err := s.engine.Park(c, early, h); err != nil {
		c.Close()
	}
}

// session echoes; a client that does not read makes its Read wait.
type session struct {
	reader  websocket.Reader
	deflate bool
	mu      sync.Mutex
	free    sync.Cond
}

func (s *session) Read(c *park.Conn, b []byte) (taken int) {
	for {
		m, n, err := s.reader.Next(b[taken:])
		taken += n
		var broken *websocket.Error
		if errors.As(err, &broken) {
			s.send(c, websocket.AppendClose(nil, broken.Code, broken.Reason))
			c.Close(err)
			return len(b)
		}
		switch m.Op {
		case websocket.Continuation:
			return taken
		case websocket.Close:
			s.send(c, websocket.AppendClose(nil, m.Code, string(m.Data)))
			c.Close(io.EOF)
			return len(b)
		case websocket.Ping:
			s.send(c, websocket.AppendFrame(nil, websocket.Pong, m.Data))
		case websocket.Pong:
		default:
			if s.deflate {
				s.send(c, websocket.AppendDeflated(nil, m.Op, m.Data))
			} else {
				s.send(c, websocket.AppendFrame(nil, m.Op, m.Data))
			}
		}
	}
}

func (s *session) send(c *park.Conn, b []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c.Write(b) == park.ErrBlocked {
		s.free.Wait()
	}
}

func (s *session) Writable(c *park.Conn) {
	s.mu.Lock()
	s.free.Broadcast()
	s.mu.Unlock()
}

func (s *session) Tick(*park.Conn) {}

func (s *session) Closed(c *park.Conn, err error) {}

// client is the other side, able to break every rule.
type client struct {
	testing.TB
	net.Conn
	in *bufio.Reader
}

func (s *server) dial(t testing.TB, headers ...string) *client {
	t.Helper()
	c, err := net.Dial("tcp", s.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
	for _, h := range headers {
		fmt.Fprintf(c, "%s\r\n", h)
	}
	fmt.Fprint(c, "\r\n")
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != 101 || r.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatal("handshake:", r, err)
	}
	return &client{t, c, in}
}

const (
	fin  = 0x80
	rsv1 = 0x40
)

// frame makes a masked frame with any first byte.
func frame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i, x := range payload {
		b = append(b, x^key[i%4])
	}
	return b
}

func text(s string) []byte { return frame(fin|1, []byte(s)) }

// receive reads one frame of the server.
func (c *client) receive() (first byte, payload []byte, err error) {
	var h [8]byte
	if _, err := io.ReadFull(c.in, h[:2]); err != nil {
		return 0, nil, err
	}
	first = h[0]
	n := uint64(h[1])
	switch n {
	case 126:
		_, err = io.ReadFull(c.in, h[:2])
		n = uint64(binary.BigEndian.Uint16(h[:]))
	case 127:
		_, err = io.ReadFull(c.in, h[:8])
		n = binary.BigEndian.Uint64(h[:])
	}
	if err != nil {
		return 0, nil, err
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(c.in, payload)
	return first, payload, err
}

func (c *client) expect(first byte, payload []byte) {
	c.Helper()
	f, p, err := c.receive()
	if err != nil || f != first || !bytes.Equal(p, payload) {
		c.Fatalf("got %#x %.60q %v, want %#x %.60q", f, p, err, first, payload)
	}
}

// expectClose wants a close frame with the code (0: an empty one) and then the end of the connection.
func (c *client) expectClose(code int) {
	c.Helper()
	f, p, err := c.receive()
	got := 0
	if len(p) >= 2 {
		got = int(binary.BigEndian.Uint16(p))
	}
	if err != nil || f != 0x88 || got != code {
		c.Fatalf("got %#x %q %v, want a close with %d", f, p, err, code)
	}
	if b, err := c.in.ReadByte(); err != io.EOF {
		c.Fatalf("after the close frame: %#x, %v", b, err)
	}
}
