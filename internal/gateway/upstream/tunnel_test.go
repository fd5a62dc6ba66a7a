package upstream

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
)

const switched = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n"

func TestTunnel(t *testing.T) {
	serve := func(_ int, conn net.Conn, from *bufio.Reader) {
		if !strings.Contains(request(from), "Connection: upgrade\r\n") {
			return
		}
		_, _ = io.WriteString(conn, switched+"first")
		_, _ = io.Copy(conn, from)
	}
	over := secured(t, serve)
	over.MaxConns = 1
	for name, o := range map[string]Options{"plain": {Address: script(t, serve), MaxIdle: 1, MaxConns: 1}, "TLS": over} {
		c := client(t, o)
		call, resp := get("/"), newResponse()
		call.Upgrade = true
		if err := c.Do(call, resp); err != nil {
			t.Fatal(name, err)
		}
		if resp.StatusCode() != 101 || string(resp.Header.Peek("Upgrade")) != "websocket" || string(resp.Header.Peek("Sec-WebSocket-Accept")) != "x" {
			t.Errorf("%s: %s", name, &resp.Header)
		}
		if s := c.Stats(); s.Open != 1 || s.Idle != 0 {
			t.Errorf("%s: %+v", name, s)
		}
		tunnel := call.Tunnel
		go func() {
			_, _ = tunnel.ReadFrom(strings.NewReader("echo"))
			_ = tunnel.CloseWrite()
		}()
		two := make([]byte, 2)
		if _, err := io.ReadFull(tunnel, two); err != nil || string(two) != "fi" {
			t.Errorf("%s: %q %v", name, two, err)
		}
		var rest strings.Builder
		if n, err := tunnel.WriteTo(&rest); err != nil || rest.String() != "rstecho" || n != 7 {
			t.Errorf("%s: %q %d %v", name, rest.String(), n, err)
		}
		for range 2 {
			if err := tunnel.Close(); err != nil {
				t.Error(name, err)
			}
		}
		if s := c.Stats(); s.Open != 0 {
			t.Errorf("%s: %+v", name, s)
		}
	}
}
