package proxy

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/match"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/observe"
)

// Those that run in parallel wait most of the time: for timeouts, and for clients that are found to be gone.
func TestMain(m *testing.M) {
	_ = flag.Set("test.parallel", "8")
	m.Run()
}

// rig is a door with one route in front of upstreams.
type rig struct {
	door    *exchange.Server
	set     *balance.Set
	metrics *Metrics
	address string
}

type options struct {
	route     config.Route
	edit      *config.Edit
	upstreams map[string]*config.Upstream
	trusted   []netip.Prefix
	maxBody   int64
	idle      time.Duration // of the door
	protected []string
	before    func(*exchange.Request) error
}

// service makes an upstream with defaults.
func service(addresses ...string) *config.Upstream {
	u := config.DefaultUpstream()
	for _, a := range addresses {
		u.Targets = append(u.Targets, config.Target{URL: a, Weight: 1})
	}
	return u
}

func start(t testing.TB, o options) *rig {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	cfg := config.Default()
	cfg.Upstreams = o.upstreams
	g := &rig{set: balance.NewSet(balance.Deps{Log: log, Health: observe.NewHealth(log)}), metrics: NewMetrics()}
	change, err := g.set.Prepare(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	if o.maxBody == 0 {
		o.maxBody = 1 << 40
	}
	if o.idle == 0 {
		o.idle = 10 * time.Second
	}
	if o.route.Match == "" {
		o.route.Match = "/*"
	}
	handler, err := New(&o.route, o.edit, change.Find, Deps{Log: log, Metrics: g.metrics, MaxBody: o.maxBody, Protected: o.protected})
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
	var table match.Table[exchange.Handler]
	if err := table.Add(match.Rule{Methods: []string{"*"}, Path: o.route.Match}, handler); err != nil {
		t.Fatal(err)
	}
	g.door = exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 10 * time.Second, IdleTimeout: o.idle, Log: log, Trusted: o.trusted,
		Admit: func(r *exchange.Request) error {
			found, _, err := table.Find(&r.RequestCtx.Request, r.Method(), r.Path(), &r.Params)
			if err != nil {
				return err
			}
			r.Route = found
			if o.before != nil {
				return o.before(r)
			}
			return nil
		},
		Serve: func(r *exchange.Request) error { return r.Route.(exchange.Handler)(r) },
	})
	if err := g.door.Start(); err != nil {
		t.Fatal(err)
	}
	g.address = g.door.Addr().String()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = g.door.Stop(ctx)
		g.set.Stop()
	})
	return g
}

// backend is an upstream of the standard library, for HTTP/1.1 and HTTP/2.
func backend(t testing.TB, f http.HandlerFunc) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: f, Protocols: &http.Protocols{}}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	return "http://" + listener.Addr().String()
}

// raw is an upstream that does what f does with each connection.
func raw(t testing.TB, f func(net.Conn, *bufio.Reader)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_ = c.SetDeadline(time.Now().Add(20 * time.Second))
				f(c, bufio.NewReader(c))
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// head reads one.
func readHead(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return b.String(), err
		}
		if line == "\r\n" {
			return b.String(), nil
		}
		b.WriteString(line)
	}
}

// echo answers with the head of the request as it came.
func echo(t testing.TB) string {
	return raw(t, func(c net.Conn, r *bufio.Reader) {
		for {
			head, err := readHead(r)
			if err != nil {
				return
			}
			for line := range strings.SplitSeq(head, "\r\n") {
				if n := 0; strings.HasPrefix(line, "Content-Length: ") {
					_, _ = fmt.Sscanf(line, "Content-Length: %d", &n)
					_, _ = io.CopyN(io.Discard, r, int64(n))
				}
			}
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(head), head)
		}
	})
}

// ask sends bytes and gives the answer with its body.
func (g *rig) ask(t testing.TB, request string) (*http.Response, string) {
	t.Helper()
	c, err := net.Dial("tcp", g.address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	_, _ = io.WriteString(c, request)
	method, _, _ := strings.Cut(request, " ")
	got, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%.60q: %v", request, err)
	}
	body, _ := io.ReadAll(got.Body)
	return got, string(body)
}
