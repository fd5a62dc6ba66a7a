package proxy

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	dto "github.com/prometheus/client_model/go"

	"github.com/headrace/headrace/internal/config"
)

func dial(t testing.TB, g *rig) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return c, bufio.NewReader(c)
}

// within waits until a condition holds.
func within(t testing.TB, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !f(); <-time.After(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come", what)
		}
	}
}

func (g *rig) open(name string) float64 {
	var m dto.Metric
	_ = g.metrics.tunnels.WithLabelValues(name).Write(&m)
	return m.GetGauge().GetValue()
}

const handshake = "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"

func TestWebSocket(t *testing.T) {
	upgrader := websocket.Upgrader{Subprotocols: []string{"p"}, CheckOrigin: func(*http.Request) bool { return true }}
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/no" {
			http.Error(w, "no", 403)
			return
		}
		c, err := upgrader.Upgrade(w, r, http.Header{"X-Up": {"1"}})
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.WriteMessage(websocket.TextMessage, []byte("welcome"))
		for {
			kind, message, err := c.ReadMessage()
			if err != nil {
				return
			}
			_ = c.WriteMessage(kind, message)
		}
	})
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": service(address)}})
	c, got, err := (&websocket.Dialer{Subprotocols: []string{"p"}}).Dial("ws://"+g.address+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Header.Get("X-Up") != "1" || c.Subprotocol() != "p" {
		t.Error(got.Header)
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, m, err := c.ReadMessage(); err != nil || string(m) != "welcome" {
		t.Fatal(string(m), err)
	}
	for _, size := range []int{0, 1, 100, 70000, 1 << 20} {
		want := strings.Repeat("x", size)
		if err := c.WriteMessage(websocket.BinaryMessage, []byte(want)); err != nil {
			t.Fatal(err)
		}
		if _, m, err := c.ReadMessage(); err != nil || string(m) != want {
			t.Fatal(size, len(m), err)
		}
	}
	if n := g.open("up"); n != 1 {
		t.Error(n, "tunnels")
	}
	_ = c.Close()
	within(t, "the end of the tunnel", func() bool { return g.open("up") == 0 })

	if _, got, err := websocket.DefaultDialer.Dial("ws://"+g.address+"/no", nil); err == nil || got.StatusCode != 403 {
		t.Error(got, err)
	}
}

// Each half of a tunnel ends by itself, and bytes that come with the handshake are not lost.
func TestTunnelHalves(t *testing.T) {
	address := raw(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := readHead(r); err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhello ")
		all, _ := io.ReadAll(r)
		fmt.Fprintf(c, "got %s", all)
	})
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": service(address)}})
	c, r := dial(t, g)
	_, _ = io.WriteString(c, handshake+"early ")
	head, err := readHead(r)
	if err != nil || !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, "Upgrade: websocket\r\n") || !strings.Contains(head, "Connection: Upgrade\r\n") || strings.Contains(head, "Content-Length") {
		t.Fatal(head, err)
	}
	_, _ = io.WriteString(c, "late")
	_ = c.(*net.TCPConn).CloseWrite()
	if rest, err := io.ReadAll(r); string(rest) != "hello got early late" || err != nil {
		t.Error(string(rest), err)
	}
	within(t, "the end of the tunnel", func() bool { return g.open("up") == 0 })
}

// A server that stops ends its tunnels.
func TestTunnelsEndWithServer(t *testing.T) {
	address := raw(t, func(c net.Conn, r *bufio.Reader) {
		if _, err := readHead(r); err != nil {
			return
		}
		fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, r)
	})
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": service(address)}})
	c, r := dial(t, g)
	_, _ = io.WriteString(c, handshake)
	if _, err := readHead(r); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := g.door.Stop(ctx); err != nil {
		t.Error(err)
	}
	if _, err := r.ReadByte(); err != io.EOF {
		t.Error(err)
	}
	within(t, "the end of the tunnel", func() bool { return g.open("up") == 0 })
}
