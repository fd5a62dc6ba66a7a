package door

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
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

// Streams of the live plane come in by every door, and end with the client and with the server.
func TestLiveStreams(t *testing.T) {
	c := config.DefaultLive()
	c.Anonymous, c.ShutdownWindow = true, 0
	c.Channels = config.DefaultNamespace()
	c.Channels.Subscribe = "true"
	plane, err := live.Open(t.Context(), live.Deps{Config: c, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plane.Stop(context.Background()) })
	r := newRig(t, func(c *config.Config, r *rig) {
		all(c, r)
		r.other = plane.Serve
	})
	left := func() {
		t.Helper()
		for end := time.Now().Add(5 * time.Second); plane.Info().Connections > 0; {
			if time.Now().After(end) {
				t.Fatalf("%d connections are left", plane.Info().Connections)
			}
		}
	}
	for _, p := range []string{"h1", "h2", "h2c", "h3"} {
		t.Run(p, func(t *testing.T) {
			client := r.client(p)
			resp, err := client.Get(r.url(p, "/live/uni_sse?channels=news"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			in := bufio.NewReader(resp.Body)
			event := func(want string) {
				t.Helper()
				for {
					line, err := in.ReadString('\n')
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasPrefix(line, "data: ") {
						if !strings.Contains(line, want) {
							t.Fatalf("%s instead of %s", line, want)
						}
						return
					}
				}
			}
			if media := resp.Header.Get("Content-Type"); resp.StatusCode != 200 || media != "text/event-stream; charset=utf-8" {
				t.Fatal(resp.Status, media)
			}
			event(`"connect"`)
			event(`"subscribe"`)
			large := `"` + strings.Repeat("x", 60_000) + `"` // more than a window of HTTP/2 after a few
			for range 8 {
				if _, err := plane.Publish(t.Context(), "news", []byte(large), live.PublishOptions{}); err != nil {
					t.Fatal(err)
				}
				event(`"data":"xxx`)
			}
			if all := plane.Connections("", 2); len(all) != 1 || !strings.HasPrefix(all[0].Address, "127.0.0.1:") {
				t.Errorf("%+v", all)
			}
			_ = resp.Body.Close()
			left()

			resp, err = client.Post(r.url(p, "/live/http_stream"), "application/json", strings.NewReader(`{"id":1,"connect":{}}`))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			in = bufio.NewReader(resp.Body)
			hello, _ := in.ReadBytes('\n')
			var reply struct {
				Connect struct{ Session, Node string }
			}
			if err := json.Unmarshal(hello, &reply); err != nil {
				t.Fatalf("%s: %v", hello, err)
			}
			commands, _ := json.Marshal(map[string]string{"session": reply.Connect.Session, "node": reply.Connect.Node, "data": `{"id":2,"subscribe":{"channel":"news"}}`})
			sent, err := client.Post(r.url(p, "/live/emulation"), "application/json", bytes.NewReader(commands))
			if err != nil || sent.StatusCode != 204 {
				t.Fatal(sent, err)
			}
			if line, _ := in.ReadString('\n'); line != `{"id":2,"subscribe":{}}`+"\n" {
				t.Errorf("%s", line)
			}
			plane.Disconnect(live.Whom{Client: plane.Connections("", 1)[0].Client}, live.Disconnect{}, "")
			if rest, err := io.ReadAll(in); err != nil || !strings.Contains(string(rest), `"code":3503`) {
				t.Errorf("%s, %v", rest, err)
			}
			left()
		})
	}
	resp, err := r.client("h2").Get(r.url("h2", "/live/uni_sse?channels=news"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
	if all, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(all), `"code":3001`) {
		t.Errorf("%s, %v", all, err)
	}
}
