package live

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/gorilla/websocket"
)

// guarded has the same people and one limit before HTTP routes and live connections.
const guarded = `
  policies: [visitors]
  limits: [{name: calls, rate: 5/h, by: subject}]
  rpc: [greet]
  shutdown_window: 0s
  namespaces:
    plain: {subscribe: "true", publish: "true", presence: true}
    staff: {subscribe: claims.role == "staff"}
policies:
  visitors: {auth: {key: {}, jwt: {secret: "` + secret + `", cookie: session}}}
  counted: {limits: [{name: calls, rate: 5/h, by: subject}]}
routes:
  - {match: /hello, methods: [POST], call: greet, policies: [visitors, counted]}
  - {match: /tell, methods: [POST], job: announce, policies: [visitors, counted]}
`

// key makes an API key.
func (s *server) key(t testing.TB, owner string) string {
	t.Helper()
	c := exec.Command(s.cmd.Path, "key", "create", "--owner", owner)
	c.Env = append(os.Environ(), "HEADRACE_SERVER=http://"+s.admin)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(bytes.TrimSpace(out))
}

// ask makes a request as somebody.
func (s *server) ask(t testing.TB, path, body string, as http.Header) (status int, answer string) {
	t.Helper()
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
	r.Header = as.Clone()
	r.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	b, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(b)
}

// shake makes a handshake as somebody; without one, the status says why.
func (s *server) shake(t testing.TB, as http.Header) (c *raw, status int) {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience}
	conn, response, err := d.Dial(s.url("/websocket"), as)
	if response == nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil, response.StatusCode
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &raw{TB: t, Conn: conn}, response.StatusCode
}

// greeted connects without a token.
func (s *server) greeted(t testing.TB, as http.Header) *raw {
	t.Helper()
	c, status := s.shake(t, as)
	if c == nil {
		t.Fatalf("handshake: %d", status)
	}
	if r := c.ask(`{"connect":{}}`); r.Connect == nil {
		t.Fatalf("connect: %+v", r)
	}
	return c
}

// TestOneLimit: what requests and jobs of a user have used up is not there for his commands, and the other way round.
func TestOneLimit(t *testing.T) {
	t.Parallel()
	s := start(t, guarded)
	hello, rpc := "http://"+s.public+"/hello", `{"rpc":{"method":"greet","data":{"name":"x"}}}`
	ann := http.Header{"X-Api-Key": {s.key(t, "ann")}}
	for range 2 {
		if status, answer := s.ask(t, hello, `{"name":"ann"}`, ann); status != 200 {
			t.Fatal(status, answer)
		}
	}
	if status, answer := s.ask(t, "http://"+s.public+"/tell", `{"channel":"plain:x","texts":[]}`, ann); status != 202 {
		t.Fatal(status, answer)
	}
	one, two := s.greeted(t, ann), s.greeted(t, ann)
	if r := one.ask(rpc); r.Error.Code != 0 {
		t.Errorf("4 of 5: %+v", r)
	}
	if r := two.ask(`{"publish":{"channel":"plain:x","data":1}}`); r.Publish == nil {
		t.Errorf("5 of 5: %+v", r)
	}
	for _, c := range []*raw{one, two} {
		if r := c.ask(rpc); r.Error.Code != 111 || !r.Error.Temporary {
			t.Errorf("6 of 5: %+v", r)
		}
	}
	if status, answer := s.ask(t, hello, `{"name":"ann"}`, ann); status != 429 || !strings.Contains(answer, "HR4070") {
		t.Error(status, answer)
	}
	// Bob's commands use up what his requests have.
	bob := http.Header{"Cookie": {"session=" + token(t, "bob", nil)}}
	c := s.greeted(t, bob)
	for n := range 6 {
		if r := c.ask(rpc); (r.Error.Code == 111) != (n == 5) {
			t.Errorf("bob, %d: %+v", n+1, r)
		}
	}
	if status, answer := s.ask(t, hello, `{"name":"bob"}`, bob); status != 429 {
		t.Error(status, answer)
	}
}

// TestIdentities: who shows an API key or a cookie with his handshake is known, through pages of this host only.
func TestIdentities(t *testing.T) {
	t.Parallel()
	s := start(t, guarded)
	key := http.Header{"X-Api-Key": {s.key(t, "ann")}}
	cookie := http.Header{"Cookie": {"session=" + token(t, "bob", claims{"role": "staff"})}}
	with := func(h http.Header, name, value string) http.Header {
		h = h.Clone()
		h.Set(name, value)
		return h
	}
	ann, bob := s.greeted(t, key), s.greeted(t, with(cookie, "Origin", "http://"+s.public))
	for _, c := range []*raw{ann, bob} {
		if r := c.ask(`{"subscribe":{"channel":"plain:here"}}`); r.Subscribe == nil {
			t.Fatalf("%+v", r)
		}
	}
	_, there := s.ask(t, "http://"+s.admin+"/api/presence", `{"channel":"plain:here"}`, http.Header{})
	for _, user := range []string{"ann", "bob"} {
		if !strings.Contains(there, fmt.Sprintf(`"user":%q`, user)) {
			t.Errorf("%s is not in %s", user, there)
		}
	}
	if a, b := ann.ask(`{"subscribe":{"channel":"staff:x"}}`), bob.ask(`{"subscribe":{"channel":"staff:x"}}`); a.Error.Code != 103 || b.Subscribe == nil {
		t.Errorf("claims for a rule: %+v %+v", a, b)
	}
	for _, h := range []http.Header{with(cookie, "Origin", "https://evil.example"), with(cookie, "Sec-Fetch-Site", "cross-site")} {
		if _, status := s.shake(t, h); status != 403 {
			t.Errorf("a page of another host: %d", status)
		}
	}
	if _, status := s.shake(t, http.Header{"X-Api-Key": {"hr_nonsense"}}); status != 401 {
		t.Errorf("a wrong key: %d", status)
	}
	refused := func(what string, as http.Header) {
		c, _ := s.shake(t, as)
		c.say(`{"id":1,"connect":{}}`)
		if got := c.closed(); got != 3507 {
			t.Errorf("%s: %d", what, got)
		}
	}
	refused("nobody", http.Header{})
	s.configure(strings.Replace(guarded, "policies: [visitors]\n", "anonymous: false\n", 1))
	_ = s.cmd.Process.Signal(syscall.SIGHUP)
	eventually(t, "reload", func() bool { return s.logged("configuration is read again") })
	refused("without live.policies", key)
	if r := ann.ask(`{"publish":{"channel":"plain:here","data":1}}`); r.Publish == nil {
		t.Errorf("who was there before: %+v", r)
	}
}
