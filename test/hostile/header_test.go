package hostile

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
)

var marked atomic.Int64

// mark is a new one.
func mark() string { return fmt.Sprintf("hx%dm", marked.Add(1)) }

// ask sends one request with further header lines, and returns what came of it.
func ask(t testing.TB, line string, headers ...string) *outcome {
	t.Helper()
	m := mark()
	raw := strings.ReplaceAll(line+" HTTP/1.1\r\n"+strings.Join(append(headers, "X-Mark: ID"), "\r\n")+"\r\nConnection: close\r\n\r\n", "ID", m)
	o, err := throw(gate.public, raw)
	if err != nil {
		t.Fatalf("%.200q: %v", raw, err)
	}
	o.seen = up.of(m)
	return o
}

// sole is the one request that must have arrived.
func sole(t testing.TB, o *outcome) seen {
	t.Helper()
	if len(o.seen) != 1 || len(o.status) != 1 || o.status[0] >= 400 {
		t.Fatalf("%s: %.300q", o, o.text)
	}
	return o.seen[0]
}

// Connection takes away what is meant for headrace alone, and nothing that a policy or headrace has written, nor what says who asks.
func TestHopByHop(t *testing.T) {
	key := "X-API-Key: " + gate.key
	s := sole(t, ask(t, "GET /claims/ID", "Host: x.test", key, "Authorization: Basic YTpi", "Cookie: a=b", "X-Hop: 1", "X-User: root",
		"Connection: X-User, X-Scopes, x-user, Authorization, Cookie, X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, Forwarded, X-Real-IP, X-Request-Id, Host, X-API-Key, X-Hop, Content-Type, close"))
	for name, want := range map[string]string{"X-User": "ann", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "x.test", "X-Real-Ip": "127.0.0.1", "Host": "x.test",
		"Cookie": "a=b", "Authorization": "Basic YTpi", "X-Hop": "", "Connection": ""} {
		if got := s.header(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if s.header("X-Request-Id") == "" {
		t.Error("no X-Request-Id")
	}
	// and it cannot take the credential away before it is looked at
	if o := ask(t, "GET /admin/ID", "Host: x.test", "Connection: X-API-Key"); len(o.seen) != 0 || o.status[0] != 401 {
		t.Error(o)
	}
	if o := ask(t, "GET /admin/ID", "Host: x.test", key, "Connection: X-API-Key"); len(o.seen) != 1 {
		t.Error(o)
	}
}

// What headers are made from claims is not to be had by sending them, however they are written.
func TestForgedClaims(t *testing.T) {
	for _, name := range []string{"X-User", "x-user", "X-USER", "X_User", "x_user", "X-Scopes", "X_Scopes", "x_SCOPES"} {
		for _, key := range []string{"", "X-API-Key: " + gate.key} {
			headers := []string{"Host: x.test", name + ": root", name + ": root2"}
			if key != "" {
				headers = append(headers, key)
			}
			s := sole(t, ask(t, "GET /claims/ID", headers...))
			if strings.Contains(s.head, "root") {
				t.Errorf("%s: %s", name, s.head)
			}
		}
	}
	for _, name := range []string{"X-User ", "X-User\t", "X-User\x00", "X User"} {
		if o := ask(t, "GET /claims/ID", "Host: x.test", name+": root"); len(o.seen) != 0 || !o.closing {
			t.Errorf("%q: %s", name, o)
		}
	}
}

// A client that is no trusted proxy cannot say who it is, nor which address it asked for.
func TestForgedAddress(t *testing.T) {
	var headers []string
	for _, name := range []string{"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Ssl",
		"X-Forwarded-Scheme", "X-Forwarded-Uri", "X-Forwarded-Method", "Forwarded", "X-Real-IP", "X-Request-Id", "X-Original-URL", "X-Rewrite-URL", "X-Original-Host", "X-Client-IP", "X-Cluster-Client-IP",
		"Proxy", "Traceparent"} {
		headers = append(headers, name+": 6.6.6.6", strings.ToLower(name)+": 6.6.6.6", strings.ReplaceAll(name, "-", "_")+"_x: 1")
		if strings.Contains(name, "-") {
			headers = append(headers, strings.ReplaceAll(name, "-", "_")+": 6.6.6.6")
		}
	}
	s := sole(t, ask(t, "GET /p/ID", append([]string{"Host: x.test"}, headers...)...))
	if strings.Contains(s.head, "6.6.6.6") {
		t.Error(s.head)
	}
	if s.header("X-Forwarded-For") != "127.0.0.1" || s.header("Forwarded") != "for=127.0.0.1;host=x.test;proto=http" || s.header("X-Forwarded-Proto") != "http" {
		t.Error(s.head)
	}
}

// However a host is written, what is routed to it is what the upstream is told.
func TestHosts(t *testing.T) {
	for _, host := range []string{"secret.example.com", "SECRET.example.COM", "secret.example.com:80", "secret.example.com:8080", "secret.example.com.", "secret.example.com.:80",
		"secret.example.com:", "a.inner.example.com", "a.b.inner.example.com", "A.INNER.example.com.", "a.inner.example.com:1"} {
		for _, line := range []string{"GET /p/ID", "GET http://" + host + "/p/ID", "get /p/ID", "OPTIONS /p/ID"} {
			o := ask(t, line, "Host: "+host)
			if len(o.seen) != 0 || len(o.status) != 1 || o.status[0] != 401 {
				t.Errorf("%s of %s: %s", line, host, o)
			}
		}
	}
	for _, headers := range [][]string{
		{"Host: secret.example.com", "Host: x.test"}, {"Host: x.test", "Host: secret.example.com"}, {"Host: x.test, secret.example.com"}, {"Host: x@secret.example.com"},
		{"Host: secret.example.com@x.test"}, {"Host: x.test/secret.example.com"}, {"Host: secret.example.com#"}, {"Host: secret.example.com?"}, {"Host: secret.example.com:80:80"},
		{"Host: secret.example.com:x"}, {"Host: secret.example.com:99999"}, {"Host: secret.example.com\\"}, {"Host: secret%2eexample.com"}, {"Host: secret..example.com"}, {"Host: secret.example.com.."},
		{"Host: .secret.example.com"}, {"Host: \"secret.example.com\""}, {"Host: secret.example.com\x00"}, {"Host: x.test\r\n secret.example.com"}, {"Host: secret.example.com x.test"}, {"Host: *.inner.example.com"},
	} {
		if o := ask(t, "GET /p/ID", headers...); len(o.seen) != 0 || len(o.status) != 1 || o.status[0] != 400 || !o.closing {
			t.Errorf("%q: %s", headers, o)
		}
	}
	for _, target := range []string{"http://secret.example.com/p/ID", "http://x.test@secret.example.com/p/ID", "http://secret.example.com:80/p/ID", "https://secret.example.com/p/ID"} {
		if o := ask(t, "GET "+target, "Host: x.test"); len(o.seen) != 0 || o.status[0] < 400 {
			t.Errorf("%s: %s", target, o)
		}
	}
	// the way of others to name a host counts for nothing
	s := sole(t, ask(t, "GET /p/ID", "Host: x.test", "X-Forwarded-Host: secret.example.com", "X-Host: secret.example.com", "Forwarded: host=secret.example.com"))
	if s.header("Host") != "x.test" || s.header("X-Forwarded-Host") != "x.test" || strings.Contains(s.header("Forwarded"), "secret") {
		t.Error(s.head)
	}
}

// The head of a request has 16 KiB, and no other bound on the number of headers.
func TestHeaderBombs(t *testing.T) {
	for name, c := range map[string]struct {
		headers []string
		want    int
	}{
		"many":            {repeat("a: b", 2000), 200},
		"too many":        {repeat("a: b", 3000), 431},
		"long":            {[]string{"a: " + strings.Repeat("x", 15<<10)}, 200},
		"too long":        {[]string{"a: " + strings.Repeat("x", 17<<10)}, 431},
		"long name":       {[]string{strings.Repeat("x", 15<<10) + ": a"}, 200},
		"too long name":   {[]string{strings.Repeat("x", 17<<10) + ": a"}, 431},
		"many cookies":    {repeat("Cookie: a=b", 1000), 200},
		"many hops":       {repeat("X-Forwarded-For: 1.1.1.1", 500), 200},
		"many nominated":  {[]string{"Connection: " + strings.Repeat("a,", 7000)}, 200},
		"many for Accept": {[]string{"Accept-Encoding: " + strings.Repeat("gzip;q=0.1,", 1000)}, 200},
	} {
		o := ask(t, "GET /p/ID", append([]string{"Host: x.test"}, c.headers...)...)
		if len(o.status) != 1 || o.status[0] != c.want || (c.want == 200) != (len(o.seen) == 1) {
			t.Errorf("%s: %s, want %d", name, o, c.want)
		}
	}
}

func repeat(line string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = line
	}
	return list
}

// What is not part of the key of the cache does not reach the upstream, or leads to an answer of its own.
func TestCachePoisoning(t *testing.T) {
	for name, poison := range map[string]string{
		"X-Forwarded-Host": "X-Forwarded-Host: evil", "X-Forwarded-Scheme": "X-Forwarded-Scheme: evil", "X-Original-URL": "X-Original-URL: /evil", "X-Rewrite-URL": "X-Rewrite-URL: /evil",
		"Forwarded": "Forwarded: host=evil", "X-Forwarded-Prefix": "X-Forwarded-Prefix: /evil", "port of Host": "Host: x.test:666", "other Host": "Host: evil.test", "body": "Content-Length: 5",
		"method": "X-HTTP-Method: PURGE", "range": "Range: bytes=0-1", "hop": "Connection: Host, Accept, X-Forwarded-Host",
	} {
		m := mark()
		headers := "Host: x.test\r\n" + poison
		if strings.HasPrefix(poison, "Host") {
			headers = poison
		}
		first := "GET /cached/" + m + " HTTP/1.1\r\n" + headers + "\r\nConnection: close\r\n\r\n"
		if name == "body" {
			first += "evil!"
		}
		if _, err := throw(gate.public, first); err != nil {
			t.Fatal(err)
		}
		o, err := throw(gate.public, "GET /cached/"+m+" HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(o.text, "evil") || strings.Contains(o.text, ":666") || len(o.status) != 1 || o.status[0] != 200 {
			t.Errorf("%s: %q", name, o.text)
		}
	}
	// two addresses that are matched as one path are kept apart if the upstream could tell them apart
	m := mark()
	for _, path := range []string{"/cached/" + m + "/a/b", "/cached/" + m + "/a%2Fb", "/cached/" + m + "/a//b", "/cached/" + m + "/a/b?", "/cached/" + m + "/a/b?x", "/cached/" + m + "/a/b/"} {
		o, err := throw(gate.public, "GET "+path+" HTTP/1.1\r\nHost: x.test\r\nConnection: close\r\n\r\n")
		if err != nil || len(o.status) != 1 || o.status[0] != 200 {
			t.Fatal(path, o, err)
		}
		if !strings.Contains(o.text, " of "+strings.TrimSuffix(path, "?")+" ") {
			t.Errorf("%s got %q", path, o.text)
		}
	}
}

// An answer that leads elsewhere is handed to the client. headrace itself never goes there.
func TestRedirectsAreNotFollowed(t *testing.T) {
	for _, path := range []string{"/redirecting/ID", "/forward/ID"} {
		o := ask(t, "GET "+path, "Host: x.test")
		if len(o.status) != 1 || o.status[0] != 302 || !strings.Contains(o.text, "http://"+canar.Addr().String()+"/secret") {
			t.Errorf("%s: %s %q", path, o, o.text)
		}
	}
	for _, line := range []string{"GET http://" + canar.Addr().String() + "/ID", "GET //" + canar.Addr().String() + "/ID", "GET /ID@" + canar.Addr().String()} {
		_ = ask(t, line, "Host: "+canar.Addr().String())
	}
	if n := canar.count(); n > 0 {
		t.Errorf("somebody went there, %d times", n)
	}
}

// Once a WebSocket is open its bytes are the upstream's: none of them is a request for headrace.
func TestTunnel(t *testing.T) {
	m := mark()
	o, err := throw(gate.public, strings.ReplaceAll(socket+"Sec-WebSocket-Version: 13\r\n\r\n", "ID", m)+strings.ReplaceAll("GET /admin/ID HTTP/1.1\r\nHost: x.test\r\n\r\n", "ID", m), closing)
	if err != nil {
		t.Fatal(err)
	}
	got := up.of(m)
	if len(o.status) != 1 || o.status[0] != 101 || len(got) != 2 || got[1].body != "GET /admin/"+m+" HTTP/1.1\r\nHost: x.test\r\n\r\n" {
		t.Errorf("%s: %+v", o, got)
	}
}
