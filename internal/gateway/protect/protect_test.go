package protect_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/protect"
	"github.com/headrace/headrace/internal/problem"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// serve puts policies before a handler on a real door whose proxies on this machine are trusted, and returns its address.
func serve(t testing.TB, handler exchange.Handler, policies ...exchange.Policy) string {
	t.Helper()
	chain := exchange.NewChain(handler, policies...)
	door := exchange.NewServer(exchange.Options{
		Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
		Admit: chain.Admit, Serve: chain.Serve, Finish: chain.Finish, Trusted: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	})
	must(t, door.Start())
	t.Cleanup(func() {
		http.DefaultClient.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		must(t, door.Stop(ctx))
	})
	return "http://" + door.Addr().String()
}

func hello(r *exchange.Request) error {
	r.Response.SetBodyString("hello")
	return nil
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) code() string {
	var p struct{ Code string }
	_ = json.Unmarshal([]byte(a.body), &p)
	return p.Code
}

func ask(t testing.TB, method, address, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	must(t, err)
	for i := 0; i < len(headers); i += 2 {
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
		request.Header.Add(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(request)
	must(t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(t, err)
	return answer{got.StatusCode, got.Header, string(text)}
}

func TestCORS(t *testing.T) {
	policy, preflight, err := protect.CORS(&config.CORS{Origins: []string{"https://app.example.com", "https://*.example.org", "http://localhost:5173"}, Credentials: true,
		Expose: []string{"X-Total"}, MaxAge: time.Minute}, []string{"GET", "PUT"})
	must(t, err)
	at := serve(t, func(r *exchange.Request) error {
		switch {
		case r.IsOptions():
			return preflight(r)
		case string(r.Path()) == "/refused":
			return problem.New("HR4040", "no")
		}
		r.Response.Header.Set("Vary", "Accept")
		r.Response.Header.Set("Access-Control-Allow-Origin", "*") // of an upstream that has its own mind
		return hello(r)
	}, policy)
	for origin, allowed := range map[string]bool{
		"https://app.example.com": true, "https://a.example.org": true, "https://a.b.example.org": true, "http://localhost:5173": true,
		"http://app.example.com": false, "https://app.example.com.evil.com": false, "https://evilapp.example.com": false, "https://example.org": false,
		"https://.example.org": false, "https://evil.com/.example.org": false, "https://evil.com:1.example.org": false, "https://evil.com#.example.org": false,
		"https://a@b.example.org": false, "null": false, "": false, "https://app.example.com:8443": false, "http://localhost": false, "https://APP.example.com": false,
	} {
		for _, path := range []string{"/", "/refused"} {
			got := ask(t, "GET", at+path, "", "Origin", origin)
			want := ""
			if allowed {
				want = origin
			}
			h := got.header
			if h.Get("Access-Control-Allow-Origin") != want || (h.Get("Access-Control-Allow-Credentials") == "true") != allowed || (h.Get("Access-Control-Expose-Headers") == "X-Total") != allowed {
				t.Errorf("%q: %v", origin, h)
			}
			if !slices.Contains(h.Values("Vary"), "Origin") {
				t.Errorf("%q: Vary is %q", origin, h.Values("Vary"))
			}
		}
		got := ask(t, "OPTIONS", at, "", "Origin", origin, "Access-Control-Request-Method", "PUT", "Access-Control-Request-Headers", "content-type, x-token")
		h := got.header
		if got.status != 204 || got.body != "" || (h.Get("Access-Control-Allow-Methods") == "GET, PUT") != allowed || (h.Get("Access-Control-Allow-Headers") == "content-type, x-token") != allowed ||
			(h.Get("Access-Control-Max-Age") == "60") != allowed || len(h.Values("Vary")) != 3 {
			t.Errorf("preflight of %q: %d %v", origin, got.status, h)
		}
	}
	if got := ask(t, "GET", at, ""); !slices.Contains(got.header.Values("Vary"), "Origin") || got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error(got)
	}
}

func TestCORSForAll(t *testing.T) {
	policy, preflight, err := protect.CORS(&config.CORS{Origins: []string{"*"}, Headers: []string{"X-Token"}}, []string{config.Any})
	must(t, err)
	at := serve(t, preflight, policy)
	got := ask(t, "OPTIONS", at, "", "Origin", "null", "Access-Control-Request-Method", "DELETE", "Access-Control-Request-Headers", "x-other")
	h := got.header
	if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Headers") != "X-Token" || h.Get("Access-Control-Allow-Credentials") != "" ||
		h.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST, PUT, PATCH, DELETE" {
		t.Error(h)
	}
}

func TestCSRF(t *testing.T) {
	at := serve(t, hello, protect.CSRF(&config.CSRF{Origins: []string{"*.partner.com", "shop.example.com:8443"}}))
	const own = "app.example.com"
	for _, c := range []struct {
		method  string
		headers []string
		passes  bool
	}{
		{"POST", []string{"Origin", "https://evil.com"}, true}, // no cookie
		{"POST", []string{"Cookie", "a=b"}, true},              // no browser
		{"GET", []string{"Cookie", "a=b", "Origin", "https://evil.com"}, true},
		{"GET", []string{"Cookie", "a=b", "Origin", "https://evil.com", "Upgrade", "WebSocket"}, false},
		{"POST", []string{"Cookie", "a=b", "Origin", "https://evil.com"}, false},
		{"DELETE", []string{"Cookie", "a=b", "Origin", "https://evil.com"}, false},
		{"BREW", []string{"Cookie", "a=b", "Origin", "https://evil.com"}, false},
		{"POST", []string{"Cookie", "a=b", "Origin", "null"}, false},
		{"POST", []string{"Cookie", "a=b", "Origin", "http://" + own}, true},
		{"POST", []string{"Cookie", "a=b", "Origin", "https://" + own}, true}, // TLS ends before headrace
		{"POST", []string{"Cookie", "a=b", "Origin", "http://" + own, "X-Forwarded-Proto", "https"}, false},
		{"POST", []string{"Cookie", "a=b", "Origin", "http://" + own + ":80"}, true},
		{"POST", []string{"Cookie", "a=b", "Origin", "http://" + own + ":8080"}, false},
		{"POST", []string{"Cookie", "a=b", "Origin", "http://" + own + ".evil.com"}, false},
		{"POST", []string{"Cookie", "a=b", "Origin", "https://x.partner.com"}, true},
		{"POST", []string{"Cookie", "a=b", "Origin", "https://partner.com"}, false},
		{"POST", []string{"Cookie", "a=b", "Origin", "https://shop.example.com:8443"}, true},
		{"POST", []string{"Cookie", "a=b", "Referer", "http://" + own + "/form?x"}, true},
		{"POST", []string{"Cookie", "a=b", "Referer", "https://evil.com/" + own}, false},
		{"POST", []string{"Cookie", "a=b", "Referer", "nonsense"}, false},
		{"POST", []string{"Cookie", "a=b", "Sec-Fetch-Site", "same-origin"}, true},
		{"POST", []string{"Cookie", "a=b", "Sec-Fetch-Site", "none"}, true},
		{"POST", []string{"Cookie", "a=b", "Sec-Fetch-Site", "cross-site"}, false},
		{"POST", []string{"Cookie", "a=b", "Sec-Fetch-Site", "same-site", "Origin", "https://x.example.com"}, false},
		{"POST", []string{"Cookie", "a=b", "Sec-Fetch-Site", "cross-site", "Origin", "https://x.partner.com"}, true},
	} {
		got := ask(t, c.method, at, "", append(c.headers, "Host", own)...)
		if c.passes != (got.status == 200) || !c.passes && got.code() != "HR4056" {
			t.Error(c.method, c.headers, got.status, got.body)
		}
	}
}

func TestSecure(t *testing.T) {
	c := &config.Secure{HSTS: "max-age=1", Frame: "DENY", Content: "default-src 'self'"}
	at := serve(t, func(r *exchange.Request) error {
		if string(r.Path()) == "/refused" {
			return problem.New("HR4040", "no")
		}
		r.Response.Header.Set("X-Frame-Options", "SAMEORIGIN")
		return hello(r)
	}, protect.Secure(c))
	for path, frame := range map[string]string{"/": "SAMEORIGIN", "/refused": "DENY"} {
		for proto, hsts := range map[string]string{"http": "", "https": "max-age=1"} {
			h := ask(t, "GET", at+path, "", "X-Forwarded-Proto", proto).header
			if h.Get("X-Frame-Options") != frame || h.Get("Strict-Transport-Security") != hsts || h.Get("X-Content-Type-Options") != "nosniff" ||
				h.Get("Content-Security-Policy") != "default-src 'self'" || h["Referrer-Policy"] != nil {
				t.Error(path, proto, h)
			}
		}
	}
}

func TestAddresses(t *testing.T) {
	policy, err := protect.Addresses([]string{"10.0.0.0/8", "2001:db8::/32", "::ffff:192.0.2.0/120"}, []string{"10.1.0.0/16", "10.2.3.4"})
	must(t, err)
	at := serve(t, hello, policy)
	for from, passes := range map[string]bool{
		"10.0.0.1": true, "10.1.0.1": false, "10.2.3.4": false, "10.2.3.5": true, "11.0.0.1": false, "2001:db8::1": true, "2001:db9::1": false, "::ffff:10.0.0.1": true, "": false, "192.0.2.7": true,
	} {
		headers := []string{"X-Forwarded-For", from}
		if from == "" {
			headers = nil
		}
		if got := ask(t, "GET", at, "", headers...); passes != (got.status == 200) || !passes && got.code() != "HR4055" {
			t.Error(from, got.status, got.body)
		}
	}
	if _, err := protect.Addresses([]string{"x"}, nil); err == nil {
		t.Error("x is an address")
	}
}

func TestMaxConcurrent(t *testing.T) {
	inside, release := make(chan struct{}), make(chan struct{})
	at := serve(t, func(r *exchange.Request) error {
		inside <- struct{}{}
		<-release
		return hello(r)
	}, protect.MaxConcurrent(2))
	answers := make(chan int, 2)
	for range 2 {
		go func() {
			got, err := http.Get(at)
			if err != nil {
				answers <- 0
				return
			}
			got.Body.Close()
			answers <- got.StatusCode
		}()
		<-inside
	}
	if got := ask(t, "GET", at, ""); got.code() != "HR4057" || got.status != 503 || got.header.Get("Retry-After") == "" {
		t.Error(got)
	}
	close(release)
	for range 2 {
		if status := <-answers; status != 200 {
			t.Error(status)
		}
	}
	done := make(chan struct{})
	go func() { <-inside; close(done) }()
	deadline := time.After(30 * time.Second)
	for ask(t, "GET", at, "").status != 200 { // the count goes down when the answer is written
		select {
		case <-deadline:
			t.Fatal("the requests are counted still")
		default:
		}
	}
	<-done
}

func TestMaxBody(t *testing.T) {
	at := serve(t, func(r *exchange.Request) error {
		_, err := r.Body(1 << 20)
		if err != nil {
			return err
		}
		return hello(r)
	}, protect.MaxBody(10))
	if got := ask(t, "POST", at, "0123456789"); got.status != 200 {
		t.Error(got)
	}
	for _, announced := range []bool{true, false} {
		request, err := http.NewRequestWithContext(t.Context(), "POST", at, struct{ io.Reader }{strings.NewReader("0123456789a")})
		must(t, err)
		if announced {
			request.ContentLength = 11
		}
		got, err := http.DefaultClient.Do(request)
		must(t, err)
		body, err := io.ReadAll(got.Body)
		must(t, err)
		must(t, got.Body.Close())
		if got.StatusCode != 413 || !strings.Contains(string(body), "HR1003") || !strings.Contains(string(body), "raise max_body of the route or its policy") {
			t.Error(announced, got.Status, string(body))
		}
	}
}
