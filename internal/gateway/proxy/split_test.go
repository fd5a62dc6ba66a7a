package proxy

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

func named(t testing.TB, name string) *config.Upstream {
	return service(backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, name) }))
}

func TestChances(t *testing.T) {
	shares := []config.Share{
		{Upstream: "old", Weight: 3, Sticky: "side"}, {Upstream: "new", Weight: 1, Sticky: "side", Header: map[string]string{"X-Canary": "1"}},
		{Upstream: "beta", Sticky: "side", Cookie: map[string]string{"beta": "~^y", "user": "*"}},
	}
	kept, err := newShare(&shares[1])
	if err != nil {
		t.Fatal(err)
	}
	gone, err := newShare(&shares[2])
	if err != nil {
		t.Fatal(err)
	}
	weights := "[{old 0.75 weight 3 of 4} {new 0.25 weight 1 of 4}]"
	for request, want := range map[[2]string]string{
		{"X-Canary", "1"}:               "[{new 1 header X-Canary}]",
		{"X-Canary", "2"}:               weights,
		{"Cookie", "beta=yes; user=u"}:  "[{beta 1 cookie beta, user}]",
		{"Cookie", "side=" + kept.mark}: "[{new 1 sticky cookie side}]",
		{"Cookie", "side=" + gone.mark}: weights,
		{"Cookie", "beta=no; a=b"}:      weights,
	} {
		var ctx fasthttp.RequestCtx
		ctx.Request.Header.Set(request[0], request[1])
		chances, err := Chances(shares, &exchange.Request{RequestCtx: &ctx})
		if got := fmt.Sprint(chances); err != nil || got != want {
			t.Errorf("%v: %s, want %s, %v", request, got, want, err)
		}
	}
}

func TestSplit(t *testing.T) {
	upstreams := map[string]*config.Upstream{"old": named(t, "old"), "new": named(t, "new"), "beta": named(t, "beta")}
	g := start(t, options{upstreams: upstreams, route: config.Route{Split: []config.Share{
		{Upstream: "old", Weight: 3, Sticky: "side"}, {Upstream: "new", Weight: 1, Sticky: "side", Header: map[string]string{"X-Canary": "1"}},
		{Upstream: "beta", Cookie: map[string]string{"beta": "~^y", "user": "*"}},
	}}})
	count := map[string]int{}
	side := map[string]string{}
	for range 400 {
		got, body := g.ask(t, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		count[body]++
		cookie := got.Cookies()[0]
		if cookie.Name != "side" || !cookie.HttpOnly || cookie.SameSite != http.SameSiteLaxMode || cookie.Path != "/" || cookie.Secure || strings.Contains(cookie.Value, body) {
			t.Fatal(cookie)
		}
		side[body] = cookie.Value
	}
	if count["old"] < 250 || count["old"] > 350 || count["new"] != 400-count["old"] {
		t.Error(count)
	}
	for request, want := range map[string]string{
		"X-Canary: 1": "new", "Cookie: a=b; beta=yes; user=u": "beta", "Cookie: side=" + side["old"]: "old", "Cookie: x=y;side=" + side["new"]: "new",
	} {
		for range 20 {
			got, body := g.ask(t, "GET / HTTP/1.1\r\nHost: h\r\n"+request+"\r\n\r\n")
			if body != want || strings.Contains(request, "side=") && len(got.Cookies()) != 0 {
				t.Error(request, body, got.Cookies())
			}
		}
	}
	if _, err := newSplit([]config.Share{{Upstream: "none", Weight: 1}}, g.set.Find); problem.From(err).Code != "HR9003" {
		t.Error(err)
	}
}

func TestMirror(t *testing.T) {
	seen := make(chan string, 10)
	upstreams := map[string]*config.Upstream{"up": named(t, "up"), "copy": service(backend(t, func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 100)
		n, _ := r.Body.Read(body)
		seen <- r.Method + " " + r.RequestURI + " " + r.Header.Get("X-A") + " " + string(body[:n])
		w.WriteHeader(500)
	}))}
	g := start(t, options{upstreams: upstreams, route: config.Route{Proxy: "up", Mirror: "copy"}})
	if got, body := g.ask(t, "POST /x?y HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: 5\r\n\r\nhello"); got.StatusCode != 200 || body != "up" {
		t.Error(got.Status, body)
	}
	if got := <-seen; got != "POST /x?y 1 hello" {
		t.Error(got)
	}
	large := strings.Repeat("x", wholeBody+1)
	if got, _ := g.ask(t, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65537\r\n\r\n"+large); got.StatusCode != 200 {
		t.Error(got.Status)
	}
	within(t, "both results", func() bool {
		total := 0.
		for _, result := range []string{"ok", "dropped"} {
			var m dto.Metric
			_ = g.metrics.mirrored.WithLabelValues("copy", result).Write(&m)
			total += min(1, m.GetCounter().GetValue())
		}
		return total == 2
	})
}

func TestHash(t *testing.T) {
	addresses := []string{}
	for i := range 5 {
		addresses = append(addresses, backend(t, func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, i) }))
	}
	for _, c := range []struct{ by, header string }{{"header:X-User", "X-User: %d"}, {"cookie:user", "Cookie: a=b; user=%d"}, {"address", ""}} {
		u := service(addresses...)
		u.Balance, u.HashBy = "hash", c.by
		g := start(t, options{route: config.Route{Proxy: "up"}, upstreams: map[string]*config.Upstream{"up": u}})
		targets := map[string]bool{}
		for user := range 20 {
			line := ""
			if c.header != "" {
				line = fmt.Sprintf(c.header, user) + "\r\n"
			}
			_, first := g.ask(t, "GET / HTTP/1.1\r\nHost: h\r\n"+line+"\r\n")
			if _, again := g.ask(t, "GET / HTTP/1.1\r\nHost: h\r\n"+line+"\r\n"); again != first {
				t.Errorf("%s: %s, then %s", c.by, first, again)
			}
			targets[first] = true
		}
		if (c.header == "") != (len(targets) == 1) {
			t.Errorf("%s: %v", c.by, targets)
		}
	}
}
