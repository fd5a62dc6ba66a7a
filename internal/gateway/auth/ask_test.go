package auth_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/auth"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

func encode(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

// judge is a service that decides.
func judge(t *testing.T, asked func(*http.Request)) *httptest.Server {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked != nil {
			asked(r)
		}
		switch r.Header.Get("Authorization") {
		case "good":
			w.Header().Set("X-User", "ann")
			w.Header().Add("X-Groups", "a")
			w.Header().Add("X-Groups", "b")
			fmt.Fprint(w, "fine")
		case "login":
			w.Header().Set("Location", "https://login.example.com/?next=x")
			w.Header().Add("Set-Cookie", "a=1")
			w.Header().Add("Set-Cookie", "b=2")
			w.Header().Set("Connection", "X-Secret")
			w.Header().Set("X-Secret", "hop")
			w.WriteHeader(302)
		case "large":
			w.WriteHeader(403)
			fmt.Fprint(w, strings.Repeat("x", 65<<10))
		case "slow":
			<-r.Context().Done()
		default:
			w.Header().Set("WWW-Authenticate", `Custom realm="x"`)
			w.WriteHeader(401)
			fmt.Fprint(w, "who are you?")
		}
	}))
	t.Cleanup(s.Close)
	return s
}

func TestForward(t *testing.T) {
	var mu sync.Mutex
	var last *http.Request
	s := judge(t, func(r *http.Request) { mu.Lock(); last = r; mu.Unlock() })
	at := serve(t, load(t, `{headers: {X-Name: sub}, forward: {to: "`+s.URL+`/check", copy: [x-user, X-Groups], subject: X-User, timeout: 300ms}}`), auth.Deps{})
	e := get(t, at+"/orders?id=1", "Authorization", "good", "X-User", "root", "X_Groups", "admin", "Cookie", "a=b", "X-Other", "x").echoed(t)
	if e.Method != "forward" || e.Subject != "ann" || e.Headers["X-User"] != "ann" || e.Headers["X-Groups"] != "a, b" || e.Headers["X_groups"] != "" || e.Headers["X-Name"] != "ann" {
		t.Error(e)
	}
	h := last.Header
	if last.Method != "GET" || last.URL.Path != "/check" || h.Get("X-Forwarded-Method") != "GET" || h.Get("X-Forwarded-Uri") != "/orders?id=1" || h.Get("X-Forwarded-For") != "127.0.0.1" ||
		h.Get("X-Forwarded-Host") != strings.TrimPrefix(at, "http://") || h.Get("X-Forwarded-Proto") != "http" || h.Get("Cookie") != "a=b" || h.Get("X-Other") != "" || h.Get("X-User") != "" || h.Get("X-Request-Id") == "" {
		t.Error(last)
	}
	got := get(t, at, "Authorization", "login")
	if got.status != 302 || got.header.Get("Location") != "https://login.example.com/?next=x" || len(got.header.Values("Set-Cookie")) != 2 || got.header.Get("X-Secret") != "" {
		t.Error(got)
	}
	got = get(t, at)
	if got.status != 401 || got.body != "who are you?" || challenges(got) != `Custom realm="x"` {
		t.Error(got)
	}
	want(t, get(t, at, "Authorization", "large"), 502, "HR4049")
	want(t, get(t, at, "Authorization", "slow"), 504, "HR4050")
	s.Close()
	gone := get(t, at, "Authorization", "good")
	want(t, gone, 502, "HR4049")
	if strings.Contains(gone.body, strings.TrimPrefix(s.URL, "http://")) {
		t.Error("the address is told:", gone.body)
	}
}

// An upstream is asked as it says: over its socket, with its TLS, in its protocol.
func TestForwardToUpstream(t *testing.T) {
	var path atomic.Pointer[string]
	handler := judge(t, func(r *http.Request) { asked := r.Proto + " " + r.RequestURI; path.Store(&asked) }).Config.Handler
	on := func(l net.Listener, secure bool) *httptest.Server {
		s := httptest.NewUnstartedServer(handler)
		if l != nil {
			_ = s.Listener.Close()
			s.Listener = l
		}
		if s.EnableHTTP2 = secure; secure {
			s.StartTLS()
		} else {
			s.Start()
		}
		t.Cleanup(s.Close)
		return s
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	must(t, err)
	on(l, false)
	plain, secure := on(nil, false), on(nil, true)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw}), 0o600))
	for name, c := range map[string]struct {
		url, protocol, asked string
	}{
		"tcp":   {plain.URL, "", "HTTP/1.1"},
		"unix":  {"unix:" + socket, "", "HTTP/1.1"},
		"https": {secure.URL, "", "HTTP/1.1"},
		"h2":    {secure.URL, "h2", "HTTP/2.0"},
	} {
		t.Run(name, func(t *testing.T) {
			u := config.DefaultUpstream()
			u.Targets = []config.Target{{URL: "http://127.0.0.1:1", Weight: 1}, {URL: c.url, Weight: 1}} // nobody is at the first
			u.TLS.CA = ca
			if u.Protocol = cmp.Or(c.protocol, u.Protocol); c.protocol == "h2" {
				u.Targets = u.Targets[1:]
			}
			found := upstreamOf(t, u)
			at := serve(t, load(t, `{forward: {to: judge/check?a=b, timeout: 500ms, copy: [X-Groups]}}`), auth.Deps{Find: func(string) *balance.Upstream { return found }})
			for range 4 {
				if e := get(t, at, "Authorization", "good").echoed(t); e.Headers["X-Groups"] != "a, b" {
					t.Error(e)
				}
			}
			if got := *path.Load(); got != c.asked+" /check?a=b" {
				t.Error(got)
			}
			if got := get(t, at, "Authorization", "login"); got.status != 302 || len(got.header.Values("Set-Cookie")) != 2 || got.header.Get("X-Secret") != "" && c.protocol == "" {
				t.Error(got)
			}
			if got := get(t, at); got.status != 401 || got.body != "who are you?" {
				t.Error(got)
			}
			want(t, get(t, at, "Authorization", "large"), 502, "HR4049")
			want(t, get(t, at, "Authorization", "slow"), 504, "HR4050")
			s := found.Status()
			if last := s.Targets[len(s.Targets)-1]; last.Requests < 8 || last.Busy != 0 || last.Failures == 0 {
				t.Errorf("%+v", last)
			}
		})
	}
}

func TestForwardToUpstreamThatIsNotWell(t *testing.T) {
	u := config.DefaultUpstream()
	u.Targets = []config.Target{{URL: "http://127.0.0.1:1", Weight: 1}}
	found := upstreamOf(t, u)
	at := serve(t, load(t, `{forward: {to: judge/check}}`), auth.Deps{Find: func(string) *balance.Upstream { return found }})
	got := get(t, at)
	if want(t, got, 502, "HR4049"); strings.Contains(got.body, "127.0.0.1") || strings.Contains(got.body, "refused") {
		t.Error(got)
	}
	if _, err := auth.New(load(t, `{forward: {to: judge/check}}`), auth.Deps{Registry: auth.NewRegistry(), Log: logger(t), Find: func(string) *balance.Upstream { return nil }}); err == nil {
		t.Error("an upstream that is not there is taken")
	}
}

// upstreamOf puts an upstream in force.
func upstreamOf(t *testing.T, u *config.Upstream) *balance.Upstream {
	t.Helper()
	set := balance.NewSet(balance.Deps{Log: logger(t), Health: observe.NewHealth(logger(t))})
	t.Cleanup(set.Stop)
	c := config.Default()
	c.Upstreams = map[string]*config.Upstream{"judge": u}
	change, err := set.Prepare(t.Context(), c)
	must(t, err)
	change.Commit()
	return set.Find("judge")
}

func TestFunction(t *testing.T) {
	var calls atomic.Int32
	call := func(ctx context.Context, name string, args []byte) ([]byte, error) {
		calls.Add(1)
		var a struct {
			Request struct {
				Method, Path, Address, Route string
				Query                        *string
				Headers                      map[string]string
			}
		}
		must(t, json.Unmarshal(args, &a))
		q := a.Request
		if name != "who" || q.Method != "GET" || q.Path != "/a" || q.Route != "orders" || q.Address != "127.0.0.1" || q.Query == nil || *q.Query != "x=1" {
			t.Errorf("%s %s", name, args)
		}
		switch q.Headers["authorization"] {
		case "good":
			return []byte(`{"subject": "ann", "scopes": ["read"], "claims": {"plan": "gold"}}`), nil
		case "":
			return []byte("null"), nil
		case "odd":
			return []byte("[1]"), nil
		case "slow":
			<-ctx.Done()
			return nil, ctx.Err()
		case "broken":
			return nil, problem.New("HR2015", "KeyError: 'x'\nTraceback of a function")
		}
		return nil, problem.New("HR2020", "%w", &workers.TaskError{Kind: "fail", Type: "Deny", Message: "you are blocked"}).Answering(403)
	}
	const section = `headers: {X-Plan: plan}, function: {name: who, given: [method, path, query, address, route], cache: 1m, timeout: 300ms}`
	d := auth.Deps{Route: "orders", Call: call}
	at := serve(t, load(t, "{"+section+"}"), d) + "/a?x=1"
	for range 3 {
		if e := get(t, at, "Authorization", "good").echoed(t); e.Method != "function" || e.Subject != "ann" || e.Scopes[0] != "read" || e.Headers["X-Plan"] != "gold" {
			t.Error(e)
		}
		denied := get(t, at, "Authorization", "bad")
		want(t, denied, 403, "HR4051")
		if !strings.Contains(denied.body, "you are blocked") || strings.Contains(denied.body, "Traceback") {
			t.Error(denied.body)
		}
		want(t, get(t, at), 401, "HR4040")
	}
	if calls.Load() != 3 {
		t.Error(calls.Load(), "calls of 9 requests of 3 kinds")
	}
	want(t, get(t, at, "Authorization", "odd"), 500, "HR4052")
	want(t, get(t, at, "Authorization", "slow"), 504, "HR4050")
	broken := get(t, at, "Authorization", "broken")
	if want(t, broken, 500, "HR2015"); strings.Contains(broken.body, "Traceback") {
		t.Error(broken.body)
	}
	get(t, serve(t, load(t, "{optional: true, "+section+"}"), d)+"/a?x=1").echoed(t)
}

// A function that is not there is the fault of whoever configured it.
func TestFunctionThatIsNotThere(t *testing.T) {
	for _, failure := range []*problem.Error{
		problem.New("HR2003", "no function secret_name"), problem.New("HR2011", "secret_name is a job"), problem.New("HR2002", "secret_name takes no argument request"),
	} {
		at := serve(t, load(t, "{function: {name: secret_name}}"), auth.Deps{Call: func(context.Context, string, []byte) ([]byte, error) { return nil, failure }})
		got := get(t, at)
		if want(t, got, 503, "HR4049"); strings.Contains(got.body, "secret_name") || got.header.Get("Retry-After") == "" {
			t.Error(got)
		}
	}
	at := serve(t, load(t, "{function: {name: f}}"), auth.Deps{Call: func(context.Context, string, []byte) ([]byte, error) {
		return nil, problem.New("HR2020", "come back later").Answering(409)
	}})
	want(t, get(t, at), 409, "HR2020")
}

// The first way that finds something decides.
func TestWaysTogether(t *testing.T) {
	store := openKeys(t)
	c := load(t, `{jwt: {secret: "`+secret+`"}, key: {}, basic: {file: `+users(t, 4, map[string]string{"ann": "pw"})+`}, function: {name: f}}`)
	var asked atomic.Int32
	at := serve(t, c, auth.Deps{Keys: store, Call: func(context.Context, string, []byte) ([]byte, error) { asked.Add(1); return []byte("null"), nil }})
	if e := get(t, at, "Authorization", "Bearer "+sign(t, map[string]any{"sub": "tom", "exp": time.Now().Add(time.Hour).Unix()})).echoed(t); e.Method != "jwt" {
		t.Error(e)
	}
	if e := get(t, at, "Authorization", "Basic "+encode("ann:pw")).echoed(t); e.Method != "basic" {
		t.Error(e)
	}
	want(t, get(t, at, "Authorization", "Basic "+encode("ann:no")), 401, "HR4047")
	want(t, get(t, at, "X-API-Key", "x"), 401, "HR4044")
	if asked.Load() != 0 {
		t.Error("the function was asked although another way decided")
	}
	none := get(t, at)
	want(t, none, 401, "HR4040")
	if asked.Load() != 1 || len(none.header.Values("WWW-Authenticate")) != 4 {
		t.Error(asked.Load(), challenges(none))
	}
}
