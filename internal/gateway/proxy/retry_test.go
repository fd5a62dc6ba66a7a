package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// script is an upstream that does one thing after the other, one for each request, and the last one for all further ones.
func script(t testing.TB, asked *atomic.Int64, steps ...string) string {
	return raw(t, func(c net.Conn, r *bufio.Reader) {
		for {
			if _, err := readHead(r); err != nil {
				return
			}
			n := int(asked.Add(1))
			switch step := steps[min(n, len(steps))-1]; step {
			case "reset":
				_ = c.(*net.TCPConn).SetLinger(0)
				return
			case "hang":
				_, _ = r.ReadByte()
				return
			default:
				if _, err := io.WriteString(c, step); err != nil || strings.Contains(step, "close") {
					return
				}
			}
		}
	})
}

const fine = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Up: 1\r\n\r\nok"

func retries(g *rig, name string) (n int) {
	for _, s := range g.set.Status() {
		if s.Name == name {
			n += int(s.Retries)
		}
	}
	return n
}

func TestRetries(t *testing.T) {
	t.Parallel()
	const busy = "HTTP/1.1 503 Busy\r\nX-Up: 1\r\nContent-Length: 4\r\n\r\nbusy"
	for _, c := range []struct {
		name    string
		request string
		steps   []string
		change  func(*config.Upstream)
		status  int
		body    string
		asked   int64
	}{
		{"reset", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"reset", fine}, nil, 200, "ok", 2},
		{"reset of POST", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi", []string{"reset", fine}, nil, 502, "HR4005", 1},
		{"POST that may be sent twice", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", []string{"reset", fine}, func(u *config.Upstream) { u.Retry.Methods = []string{"POST"} }, 200, "ok", 2},
		{"reset twice", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"reset", "reset", fine}, nil, 502, "HR4005", 2},
		{"attempts", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"reset", "reset", fine}, func(u *config.Upstream) { u.Retry.Attempts = 3 }, 200, "ok", 3},
		{"status", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{busy, fine}, func(u *config.Upstream) { u.Retry.On = []string{"503"} }, 200, "ok", 2},
		{"status stays", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{busy}, func(u *config.Upstream) { u.Retry.On = []string{"503"} }, 503, "busy", 2},
		{"status not asked for", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{busy, fine}, nil, 503, "busy", 1},
		{"timeout", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"hang", fine}, func(u *config.Upstream) { u.Retry.On = []string{"timeout"}; u.Timeout.Header = 100 * time.Millisecond }, 200, "ok", 2},
		{"timeout not asked for", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"hang", fine}, func(u *config.Upstream) { u.Timeout.Header = 100 * time.Millisecond }, 504, "HR4008", 1},
		{"total", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"hang"}, func(u *config.Upstream) {
			u.Retry.On, u.Timeout.Total, u.Timeout.Header, u.Retry.Attempts = []string{"timeout"}, 2*time.Second, 1200*time.Millisecond, 10
		}, 504, "HR40", 2},
		{"malformed", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok close", fine}, nil, 502, "HR4006", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var asked atomic.Int64
			u := service(script(t, &asked, c.steps...))
			if c.change != nil {
				c.change(u)
			}
			g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": u}})
			got, body := g.ask(t, c.request)
			if got.StatusCode != c.status || !strings.Contains(body, c.body) || asked.Load() != c.asked || len(got.Header["X-Up"]) > 1 || strings.Contains(body, "127.0.0.1") {
				t.Errorf("%s %v %s, asked %d times", got.Status, got.Header, body, asked.Load())
			}
			if n := retries(g, "up"); int64(n) != c.asked-1 {
				t.Errorf("%d retries", n)
			}
		})
	}
}

// A request goes to another target, whatever its method, if the first one takes no connection.
func TestRetryElsewhere(t *testing.T) {
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = dead.Close()
	var asked atomic.Int64
	alive := backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	u := service("http://"+dead.Addr().String(), alive)
	u.Eject.Failures = 0
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": u}})
	for range 8 {
		if got, body := g.ask(t, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"); got.StatusCode != 200 || body != "5" {
			t.Error(got.Status, body)
		}
	}
	// A body that streams was not touched when there is no connection.
	for range 4 {
		got, err := http.Post("http://"+g.address, "x", io.LimitReader(zeros{}, 1<<20))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(got.Body)
		_ = got.Body.Close()
		if string(body) != fmt.Sprint(1<<20) {
			t.Error(got.Status, string(body))
		}
	}
	if asked.Load() != 12 || retries(g, "up") < 5 {
		t.Error(asked.Load(), retries(g, "up"))
	}
}

func TestFailures(t *testing.T) {
	g := start(t, options{route: config.Route{Proxy: "http://127.0.0.1:1"}})
	got, body := g.ask(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	if got.StatusCode != 502 || !strings.Contains(body, "HR4004") || strings.Contains(body, "127.0.0.1") {
		t.Error(got.Status, body)
	}
}

// A target that takes connections and says nothing has its own codes.
func TestSilentTargets(t *testing.T) {
	t.Parallel()
	silent := raw(t, func(c net.Conn, r *bufio.Reader) { _, _ = io.Copy(io.Discard, r) })
	handshake := service(strings.Replace(silent, "http:", "https:", 1))
	handshake.Timeout.Connect = 100 * time.Millisecond
	g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": handshake}})
	if got, body := g.ask(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); got.StatusCode != 504 || !strings.Contains(body, "HR4007") {
		t.Error(got.Status, body)
	}

	asked := make(chan bool, 1)
	u := service(raw(t, func(c net.Conn, r *bufio.Reader) {
		_, _ = readHead(r)
		asked <- true
		_, _ = r.ReadByte()
	}))
	u.Connections.Max, u.Timeout.Connect = 1, 100*time.Millisecond
	g = start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": u}})
	c, _ := dial(t, g)
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
	<-asked
	if got, body := g.ask(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); got.StatusCode != 503 || !strings.Contains(body, "HR4009") || got.Header.Get("Retry-After") == "" {
		t.Error(got.Status, body)
	}
}
