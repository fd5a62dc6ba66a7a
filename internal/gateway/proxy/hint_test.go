package proxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/h2"
)

// ownH2 is the server of HTTP/2 that the doors have, in front of the rig.
func (g *rig) ownH2(t testing.TB) (client *http.Client, url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := h2.New(h2.Options{Handler: g.door, MaxStreams: 100, MaxFrame: 16 << 10, MaxHeader: 16 << 10, IdleTimeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler)})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go s.Serve(context.Background(), c, nil)
		}
	}()
	transport := &http2.Transport{AllowHTTP: true, DialTLSContext: func(ctx context.Context, network, address string, _ *tls.Config) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}}
	t.Cleanup(func() {
		_ = listener.Close()
		transport.CloseIdleConnections()
	})
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}, "http://" + listener.Addr().String()
}

// hinting is an upstream that answers when the client has said that it has its hints.
func hinting(t testing.TB, answer <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		for _, link := range []string{"</a.css>; rel=preload", "</b.css>; rel=preload"} {
			h.Set("Link", link)
			h.Set("Set-Cookie", "a=1")
			h.Set("Referrer-Policy", "no-referrer")
			w.WriteHeader(http.StatusEarlyHints)
		}
		h.Del("Set-Cookie")
		select {
		case <-answer:
		case <-r.Context().Done():
			t.Error("the hints did not come before the answer")
		case <-time.After(10 * time.Second):
			t.Error("the hints did not come before the answer")
		}
		h.Set("Link", "</c.css>")
		_, _ = io.WriteString(w, "done")
	}
}

// Answers of status 103 reach clients of HTTP/1.1 and HTTP/2 before the answer, whatever the upstream speaks, with the headers that are meant for then.
func TestHints(t *testing.T) {
	answer := make(chan struct{}, 1)
	one, two := backend(t, hinting(t, answer)), backend(t, hinting(t, answer))
	for name, u := range map[string]*config.Upstream{"HTTP/1.1": service(one), "HTTP/2": h2service(two)} {
		g := start(t, options{route: config.Route{Proxy: "up"}, edit: &config.Edit{Response: map[string]string{"referrer-policy": "origin"}},
			upstreams: map[string]*config.Upstream{"up": u}})
		own, ownURL := g.ownH2(t)
		plain := &http.Client{Timeout: 20 * time.Second}
		for door, c := range map[string]struct {
			client *http.Client
			url    string
		}{"HTTP/1.1": {plain, "http://" + g.address}, "HTTP/2": {own, ownURL}} {
			for range 2 { // the second request is on a kept connection
				var links []string
				trace := &httptrace.ClientTrace{Got1xxResponse: func(status int, h textproto.MIMEHeader) error {
					if status != 103 || h.Get("Set-Cookie") != "" || h.Get("Referrer-Policy") != "" || h.Get("Date") != "" {
						return errors.New("not what may come early")
					}
					if links = append(links, h["Link"]...); len(links) == 2 {
						answer <- struct{}{}
					}
					return nil
				}}
				req, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", c.url, nil)
				got, err := c.client.Do(req)
				if err != nil {
					t.Fatal(name, door, err)
				}
				body, err := io.ReadAll(got.Body)
				_ = got.Body.Close()
				if string(body) != "done" || err != nil || !slices.Equal(got.Header["Link"], []string{"</c.css>"}) {
					t.Error(name, door, string(body), err, got.Header)
				}
				if !slices.Equal(links, []string{"</a.css>; rel=preload", "</b.css>; rel=preload"}) {
					t.Error(name, door, links)
				}
			}
		}
	}
}

// Who asks with HTTP/1.0 gets no answer of status 103, and none comes before the answer to a request that was sent before.
func TestNoHints(t *testing.T) {
	g := start(t, options{route: config.Route{Proxy: raw(t, func(c net.Conn, r *bufio.Reader) {
		for {
			head, err := readHead(r)
			if err != nil {
				return
			}
			if strings.Contains(head, "/hint") {
				_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")
			}
			_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})}})
	statuses := func(n int, request string) (list []string) {
		c, r := dial(t, g)
		_, _ = io.WriteString(c, request)
		for len(list) < n {
			head, err := readHead(r)
			if err != nil {
				t.Fatal(list, err)
			}
			line, _, _ := strings.Cut(head, "\r\n")
			list = append(list, line)
			if strings.Contains(line, " 200 ") {
				_, _ = io.CopyN(io.Discard, r, 2)
			}
		}
		return list
	}
	const early, final = "HTTP/1.1 103 Early Hints", "HTTP/1.1 200 OK"
	if got := statuses(1, "GET /hint HTTP/1.0\r\nHost: h\r\n\r\n"); !strings.HasSuffix(got[0], "200 OK") {
		t.Error(got)
	}
	if got := statuses(2, "GET /hint HTTP/1.1\r\nHost: h\r\n\r\n"); !slices.Equal(got, []string{early, final}) {
		t.Error(got)
	}
	if got := statuses(2, "GET / HTTP/1.1\r\nHost: h\r\n\r\nGET /hint HTTP/1.1\r\nHost: h\r\n\r\n"); !slices.Equal(got, []string{final, final}) {
		t.Error(got)
	}
}

// An upstream with HTTP/2 that hints without end is given up.
func TestManyHints(t *testing.T) {
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": h2service(backend(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>")
		for range mostHints + 1 {
			w.WriteHeader(http.StatusEarlyHints)
		}
	}))}})
	got, err := http.Get("http://" + g.address)
	if err != nil {
		t.Fatal(err)
	}
	_ = got.Body.Close()
	if got.StatusCode != 502 {
		t.Error(got.Status)
	}
}
