package door

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/live"
)

// A WebSocket of the live plane comes in by every door for HTTP/1.1, and says that it cannot by the others.
func TestLive(t *testing.T) {
	c := config.DefaultLive()
	c.Anonymous = true
	plane, err := live.Open(t.Context(), live.Deps{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = plane.Stop(ctx)
	})
	for _, balancer := range []bool{false, true} {
		r := newRig(t, func(c *config.Config, r *rig) {
			all(c, r)
			if balancer {
				c.Server.ProxyProtocol = []string{"127.0.0.1"}
			}
			r.other = plane.Serve
		})
		dial := func(_, address string) (net.Conn, error) {
			c, err := net.Dial("tcp", address)
			if err == nil && balancer {
				_, err = io.WriteString(c, "PROXY TCP4 192.0.2.1 198.51.100.2 5 80\r\n")
			}
			return c, err
		}
		for scheme, address := range map[string]net.Addr{"ws": r.Addr(), "wss": r.SecureAddr()} {
			d := websocket.Dialer{NetDial: dial, TLSClientConfig: &tls.Config{RootCAs: r.authority.pool, ServerName: "localhost"}, HandshakeTimeout: 5 * time.Second}
			ws, _, err := d.Dial(scheme+"://"+address.String()+"/live/websocket", nil)
			if err != nil {
				t.Fatal(scheme, balancer, err)
			}
			_ = ws.SetReadDeadline(time.Now().Add(5 * time.Second))
			if err := ws.WriteMessage(websocket.TextMessage, []byte(`{"id":1,"connect":{}}`)); err != nil {
				t.Fatal(err)
			}
			_, message, err := ws.ReadMessage()
			if err != nil || !bytes.Contains(message, []byte(`"client"`)) {
				t.Fatalf("%s, balancer %v: %q %v", scheme, balancer, message, err)
			}
			ws.Close()
		}
		for end := time.Now().Add(5 * time.Second); open(t, r) > 0; { // those that are taken over count elsewhere
			if time.Now().After(end) {
				t.Fatalf("%d connections count as open", open(t, r))
			}
		}
		if balancer {
			continue
		}
		for _, p := range []string{"h2", "h3", "h2c"} {
			if resp, body := r.get(p, "/live/websocket"); resp.StatusCode != 426 && resp.StatusCode != 400 && resp.StatusCode != 501 || !strings.Contains(body, "HR") {
				t.Errorf("%s: %d %s", p, resp.StatusCode, body)
			}
		}
	}
}
