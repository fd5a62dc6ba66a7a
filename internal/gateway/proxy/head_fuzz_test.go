package proxy

import (
	"bufio"
	"bytes"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// FuzzHead sends any head to the door: what goes on is one request that the standard library reads as it was meant, with the headers that
// headrace and the policies write once and with their values, and without those of the connection.
func FuzzHead(f *testing.F) {
	for _, lines := range []string{"", "X-A: b\r\nConnection: close, X-A, x-tenant\r\n", "X-Forwarded-For: 9.9.9.9\r\nx_forwarded_for: 1\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n",
		"X-A: b\r\n c\r\n", "TE: gzip, trailers\r\nTrailer: X\r\n", "X Y: 1\r\n", "X-Id: evil\r\nX_Id: evil\r\n", "Cookie: a=b\r\nCookie: c=d\r\n", "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n"} {
		f.Add("/a/%41?b=c", lines)
	}
	f.Add("/a/../b", "")
	f.Add("http://example.com/x", "Expect: x\r\n")
	s, err := newHeads(&config.Route{Match: "/*"}, &config.Edit{Request: map[string]string{"X-Id": "{path}"}, Query: map[string]string{"q": "{method}"}}, []string{"X-Tenant"})
	if err != nil {
		f.Fatal(err)
	}
	type made struct {
		head head
		err  error
	}
	results := make(chan made, 100)
	g := start(f, options{route: config.Route{Proxy: busy(f, "")}, trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, before: func(r *exchange.Request) error {
		r.Request.Header.Set("X-Tenant", "7")
		var m made
		m.err = s.compose(&m.head, r)
		results <- m
		return exchange.Answered
	}})
	f.Fuzz(func(t *testing.T, uri, lines string) {
		if strings.ContainsAny(uri, " \r\n") || strings.Contains(lines, "\n\r\n") || strings.HasPrefix(lines, "\r\n") || strings.Contains(lines, "\n\n") || strings.HasPrefix(lines, "\n") {
			return
		}
		c, r := dial(t, g)
		defer c.Close()
		_, _ = c.Write([]byte("GET " + uri + " HTTP/1.1\r\nHost: example.com\r\n" + lines + "Connection: close\r\n\r\n"))
		_, _ = readHead(r)
		var m made
		select {
		case m = <-results:
		default:
			return // it was no request
		}
		if m.err != nil {
			return
		}
		text := append(bytes.Clone(m.head.bytes), "\r\n"...)
		buffer := bufio.NewReader(bytes.NewReader(text))
		got, err := http.ReadRequest(buffer)
		if err != nil {
			t.Fatalf("%v:\n%s", err, text)
		}
		if buffer.Buffered() > 0 || got.Method != "GET" || got.Host != "example.com" || got.URL.Query().Get("q") != "GET" && !strings.ContainsAny(got.URL.RawQuery, ";%") || got.ContentLength != 0 {
			t.Fatalf("%v:\n%s", got, text)
		}
		for name, want := range map[string]string{"X-Forwarded-For": "127.0.0.1", "X-Real-Ip": "127.0.0.1", "X-Forwarded-Proto": "http", "X-Tenant": "7", "X-Forwarded-Host": "example.com"} {
			if list := got.Header[name]; len(list) != 1 || list[0] != want {
				t.Fatalf("%s is %q:\n%s", name, list, text)
			}
		}
		for _, name := range []string{"Connection", "Keep-Alive", "Te", "Trailer", "Transfer-Encoding", "Content-Length", "Expect", "Proxy", "Proxy-Authorization", "X_forwarded_for", "X_tenant", "X_id"} {
			if got.Header[name] != nil {
				t.Fatalf("%s went on:\n%s", name, text)
			}
		}
		if (got.Header["Upgrade"] != nil) != (m.head.upgrade != nil) || len(got.Header["X-Id"]) != 1 {
			t.Fatalf("%s", text)
		}
	})
}
