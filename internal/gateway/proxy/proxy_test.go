package proxy

import (
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
)

func TestPassesOn(t *testing.T) {
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.RequestURI)
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2")
		w.WriteHeader(207)
		_, _ = w.Write(append([]byte("got "), body...))
	})
	g := start(t, options{route: config.Route{Proxy: address}})
	for _, c := range []struct{ request, seen, body string }{
		{"GET /a%2Fb//c?x=%20 HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a%2Fb//c?x=%20", "got "},
		{"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", "POST /p", "got hello"},
		{"PUT /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "PUT /p", "got hello"},
		{"POST /p HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 20000\r\n\r\n" + strings.Repeat("x", 20000), "", ""},
		{"DELETE /p HTTP/1.1\r\nHost: h\r\n\r\n", "DELETE /p", "got "},
		{"HEAD /p HTTP/1.1\r\nHost: h\r\n\r\n", "HEAD /p", ""},
	} {
		got, body := g.ask(t, c.request)
		if c.seen == "" {
			if got.StatusCode != 100 {
				t.Error(got.Status)
			}
			continue
		}
		if got.StatusCode != 207 || got.Header.Get("X-Seen") != c.seen || body != c.body || len(got.Header["Set-Cookie"]) != 2 {
			t.Errorf("%q: %s %v %q", c.request, got.Status, got.Header, body)
		}
	}
}

func TestHead(t *testing.T) {
	address := echo(t)
	proxies := []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for _, c := range []struct {
		name    string
		o       options
		request string
		has     []string // lines
		not     []string // parts
	}{
		{"plain", options{}, "GET /x HTTP/1.1\r\nHost: example.com:80\r\nX-A: 1\r\nX-A: 2\r\nUser-Agent: u\r\nX-Forwarded-For: 9.9.9.9\r\nForwarded: for=9.9.9.9\r\nX-Forwarded-Port: 1\r\nX-Real-IP: 9.9.9.9\r\nX-Request-Id: mine\r\n\r\n",
			[]string{"GET /x HTTP/1.1", "Host: example.com:80", "X-A: 1", "X-A: 2", "User-Agent: u", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: example.com:80", "X-Forwarded-Proto: http",
				"X-Real-Ip: 127.0.0.1", `Forwarded: for=127.0.0.1;host="example.com:80";proto=http`}, []string{"9.9.9.9", "Port", "mine", "Connection", "Content-"}},
		{"trusted", options{trusted: proxies}, "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 9.9.9.9\r\nX-Forwarded-For: 8.8.8.8\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public\r\nForwarded: for=9.9.9.9\r\nX-Request-Id: mine\r\n\r\n",
			[]string{"X-Forwarded-For: 9.9.9.9, 8.8.8.8, 127.0.0.1", "X-Forwarded-Proto: https", "X-Forwarded-Host: public", "X-Real-Ip: 8.8.8.8", "Forwarded: for=9.9.9.9, for=127.0.0.1;host=h;proto=https", "X-Request-Id: mine"}, nil},
		{"hops", options{}, "GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Hop, X-Forwarded-For, Authorization, cookie\r\nConnection: x-other\r\nX-Hop: 1\r\nX-Other: 1\r\nAuthorization: a\r\nCookie: c=d; e\r\nKeep-Alive: 5\r\nProxy-Authorization: p\r\nProxy: evil\r\nTE: trailers, gzip\r\n\r\n",
			[]string{"Authorization: a", "Cookie: c=d; e", "X-Forwarded-For: 127.0.0.1", "Connection: TE", "TE: trailers"}, []string{"X-Hop", "X-Other", "Keep-Alive", "Proxy", "gzip", "close"}},
		{"policies", options{protected: []string{"X-Tenant"}, before: func(r *exchange.Request) error {
			r.Request.Header.Set("X-User", "ann")
			r.Request.Header.Set("X-Tenant", "7")
			return nil
		}}, "GET / HTTP/1.1\r\nHost: h\r\nConnection: X-User, X-Tenant, X-Gone\r\nX-User: bob\r\nX_Tenant: 8\r\nX_Forwarded_For: 9.9.9.9\r\nX-Original-URL: /evil\r\nX-Rewrite_Url: /evil\r\nX-Tenant: 7\r\nX-Gone: 1\r\nsnake_case: 1\r\n\r\n",
			[]string{"X-User: ann", "X-Tenant: 7", "Snake_case: 1"}, []string{"bob", "X-Gone", "9.9.9.9", "_Tenant", "evil"}},
		{"edit", options{route: config.Route{Match: "/a/{id}/*", Rewrite: "/v2/{*}/of/{id}?from={id}"}, edit: &config.Edit{Request: map[string]string{"host": "inner.example", "x-id": "{id}/{method}", "Cookie": "", "X-Who": "{subject}", "X-Forwarded-For": "{client_address}!"},
			Query: map[string]string{"key": "s p", "old": ""}}, before: func(r *exchange.Request) error {
			r.Identity = &identity.Identity{}
			return nil
		}}, "GET /a/%3F7/x%20y?old=1&b=2 HTTP/1.1\r\nHost: h\r\nCookie: c\r\nX-Who: root\r\nx_id: 5\r\n\r\n",
			[]string{"GET /v2/x%20y/of/%3F7?from=%3F7&b=2&key=s+p HTTP/1.1", "Host: inner.example", "X-Id: ?7/GET", "X-Forwarded-Host: h", "X-Forwarded-For: 127.0.0.1!"}, []string{"Cookie", "X-Who", "Id: 5", "x_id", "X_id"}},
		{"trace", options{}, "GET / HTTP/1.1\r\nHost: h\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=b\r\n\r\n",
			[]string{"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Tracestate: a=b"}, nil},
		{"no trace", options{}, "GET / HTTP/1.1\r\nHost: h\r\ntraceparent: junk\r\ntracestate: a=b\r\n\r\n", nil, []string{"race"}},
		{"dots", options{}, "GET /a/../b?c=../d HTTP/1.1\r\nHost: h\r\n\r\n", []string{"GET /b?c=../d HTTP/1.1"}, nil},
		{"absolute", options{}, "GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n", []string{"GET /x HTTP/1.1", "Host: h"}, nil},
		{"no upgrade to h2c", options{}, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", nil, []string{"pgrade", "ettings"}},
		{"post", options{}, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok", []string{"Content-Length: 2"}, []string{"Content-Type", "Transfer"}},
		{"empty post", options{}, "POST / HTTP/1.1\r\nHost: h\r\n\r\n", []string{"Content-Length: 0"}, nil},
	} {
		c.o.route.Proxy = address
		g := start(t, c.o)
		got, body := g.ask(t, c.request)
		if got.StatusCode != 200 {
			t.Errorf("%s: %s %s", c.name, got.Status, body)
			continue
		}
		lines := strings.Split(body, "\r\n")
		for _, want := range c.has {
			n := 0
			for _, line := range lines {
				if line == want {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%s: %q is there %d times in\n%s", c.name, want, n, body)
			}
		}
		for _, not := range c.not {
			if strings.Contains(body, not) {
				t.Errorf("%s: %q is in\n%s", c.name, not, body)
			}
		}
	}
}

// What can be understood in two ways is refused.
func TestRefuses(t *testing.T) {
	g := start(t, options{route: config.Route{Match: "/a/*", Proxy: echo(t)}, maxBody: 10})
	for request, want := range map[string]string{
		"GET /a/%2e%2e/b HTTP/1.1\r\nHost: h\r\n\r\n":                                                       "HR1001", // matched as /b
		"GET /b/%2e%2e/a/x HTTP/1.1\r\nHost: h\r\n\r\n":                                                     "HR4001",
		"GET /a/b%2f..%2fc HTTP/1.1\r\nHost: h\r\n\r\n":                                                     "HR4001",
		"GET /a/..;/b HTTP/1.1\r\nHost: h\r\n\r\n":                                                          "HR4001",
		"GET /a/%zz HTTP/1.1\r\nHost: h\r\n\r\n":                                                            "HR4001",
		"GET http://other/a/x HTTP/1.1\r\nHost: h\r\n\r\n":                                                  "HR4002",
		"GET /a/x HTTP/1.1\r\nHost: h, g\r\n\r\n":                                                           "HR",
		"GET /a/x HTTP/1.1\r\nHost: h\r\nX Y: 1\r\n\r\n":                                                    "HR",
		"POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n": "HR4003",
		"POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc":                "HR1011",
		"POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n":             "HR1011",
		"POST /a/x HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nabcdefghijk":                            "HR1003",
		"POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nb\r\nabcdefghijk\r\n0\r\n\r\n":  "HR1003",
		"POST /a/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n":                         "HR1004",
		"CONNECT /a/x HTTP/1.1\r\nHost: h\r\n\r\n":                                                          "HR4011",
	} {
		got, body := g.ask(t, request)
		if got.StatusCode < 400 || got.StatusCode >= 600 || !strings.Contains(body, `"code":"`+want) {
			t.Errorf("%q: %s %s", request, got.Status, body)
		}
	}
}
