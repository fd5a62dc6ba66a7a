package auth_test

import (
	"bufio"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/gateway/auth"
)

// idp is a real provider, the npm package oidc-provider in a process of its own.
type idp struct {
	issuer string
	stdin  io.WriteCloser
	lines  *bufio.Scanner
}

// install brings the packages of the provider once; its lock file pins them.
var install = sync.OnceValue(func() error {
	if _, err := os.Stat("testdata/provider/node_modules/.package-lock.json"); err == nil {
		return nil
	}
	cmd := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
	cmd.Dir = "testdata/provider"
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
})

func startProvider(t *testing.T, env ...string) *idp {
	t.Helper()
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("npm is not there to install an OpenID provider with")
	}
	if err := install(); err != nil {
		t.Skip("the OpenID provider cannot be installed:", err)
	}
	cmd := exec.Command("node", "server.js")
	cmd.Dir = filepath.Join("testdata", "provider")
	cmd.Env = append(os.Environ(), env...)
	cmd.Stderr = t.Output()
	stdin, err := cmd.StdinPipe()
	must(t, err)
	stdout, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		kill := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
	})
	p := &idp{stdin: stdin, lines: bufio.NewScanner(stdout)}
	p.issuer = p.line(t)
	return p
}

func (p *idp) line(t *testing.T) string {
	t.Helper()
	if !p.lines.Scan() {
		t.Fatal("the provider has ended:", p.lines.Err())
	}
	return p.lines.Text()
}

// knows registers the host of the door with the provider.
func (p *idp) knows(t *testing.T, at string) {
	t.Helper()
	fmt.Fprintf(p.stdin, "%s/oidc/callback %s/bye\n", at, at)
	if got := p.line(t); got != "ready" {
		t.Fatal(got)
	}
}

func (p *idp) section(more string) string {
	return `{headers: {X-User: sub, X-Name: name, X-Groups: groups}, oidc: {issuer: "` + p.issuer + `", client_id: headrace, client_secret: "a secret of the client, long enough",
  after_logout: /bye` + more + `}}`
}

// browser is a person's, who follows every redirect.
type browser struct {
	t *testing.T
	http.Client
}

func newBrowser(t *testing.T) *browser {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &browser{t, http.Client{Jar: jar, Timeout: 30 * time.Second}}
}

// visit asks for a page, or sends a form.
func (b *browser) visit(address string, form url.Values) (answer, *url.URL) {
	b.t.Helper()
	method, body := http.MethodGet, ""
	if form != nil {
		method, body = http.MethodPost, form.Encode()
	}
	request, err := http.NewRequestWithContext(b.t.Context(), method, address, strings.NewReader(body))
	must(b.t, err)
	request.Header.Set("Accept", "text/html,application/xhtml+xml")
	if form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	got, err := b.Do(request)
	must(b.t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(b.t, err)
	return answer{got.StatusCode, got.Header, string(text)}, got.Request.URL
}

var action = regexp.MustCompile(`<form[^>]* action="([^"]+)"`)

// login visits a page, gives the name where it is asked for, and consents. It returns where that led to.
func (b *browser) login(address, name string) (answer, *url.URL) {
	b.t.Helper()
	page, at := b.visit(address, nil)
	for _, form := range []url.Values{{"prompt": {"login"}, "login": {name}, "password": {"x"}}, {"prompt": {"consent"}}} {
		found := action.FindStringSubmatch(page.body)
		if found == nil {
			b.t.Fatalf("no form at %s: %d %s", at, page.status, page.body)
		}
		to, err := at.Parse(html.UnescapeString(found[1]))
		must(b.t, err)
		page, at = b.visit(to.String(), form)
	}
	return page, at
}

func (b *browser) cookies(at string) (names []string) {
	u, err := url.Parse(at)
	must(b.t, err)
	for _, c := range b.Jar.Cookies(u) {
		if strings.HasPrefix(c.Name, "headrace_session") {
			names = append(names, c.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestLogin(t *testing.T) {
	p := startProvider(t)
	store := openKeys(t)
	c := load(t, p.section(", scopes: [profile, email], keep: [groups, email]"))
	at := serve(t, c, auth.Deps{Keys: store})
	p.knows(t, at)
	b := newBrowser(t)

	page, where := b.login(at+"/orders?id=1&x=%2F", "ann")
	e := page.echoed(t)
	if where.String() != at+"/orders?id=1&x=%2F" || e.Method != "oidc" || e.Subject != "ann" || e.Headers["X-User"] != "ann" || e.Headers["X-Name"] != "The ann" ||
		e.Headers["X-Groups"] != "staff admin" || !slices.Contains(e.Scopes, "profile") {
		t.Error(where, e)
	}
	if cookie := e.Headers["Cookie"]; strings.Contains(cookie, "headrace_session=") {
		t.Error("the upstream sees the session:", cookie)
	}
	if names := b.cookies(at); len(names) != 1 {
		t.Error(names)
	}
	again, where := b.visit(at+"/more", nil)
	if again.echoed(t).Subject != "ann" || where.Path != "/more" {
		t.Error(where)
	}

	// Another node, or this one after a restart, knows the session; a host that has another key does not.
	other := serve(t, load(t, p.section("")), auth.Deps{Keys: store})
	cookie := b.header(at)
	get(t, other, "Cookie", cookie).echoed(t)
	alone := serve(t, load(t, p.section(", key: "+encode(strings.Repeat("k", 32)))), auth.Deps{})
	want(t, get(t, alone, "Cookie", cookie), 401, "HR4040")

	// What a cookie holds cannot be changed.
	_, session, _ := strings.Cut(cookie, "headrace_session=")
	session, _, _ = strings.Cut(session, ";")
	for i := 2; i < len(session); i += 37 {
		changed := []byte(session)
		if changed[i] == 'A' {
			changed[i] = 'B'
		} else {
			changed[i] = 'A'
		}
		want(t, get(t, at, "Cookie", "headrace_session="+string(changed)), 401, "HR4040")
	}

	bye, where := b.visit(at+"/oidc/logout", nil)
	form, secret := action.FindStringSubmatch(bye.body), regexp.MustCompile(`name="xsrf" value="([^"]+)"`).FindStringSubmatch(bye.body)
	if form == nil || secret == nil {
		t.Fatal("the provider does not ask whether the logout is meant:", where, bye.body)
	}
	to, err := where.Parse(html.UnescapeString(form[1]))
	must(t, err)
	bye, where = b.visit(to.String(), url.Values{"xsrf": {secret[1]}, "logout": {"yes"}})
	if names := b.cookies(at); len(names) > 1 || len(names) == 1 && !strings.Contains(names[0], "_login_") { // /bye asks for a login again
		t.Error(names)
	}
	if where.Host == strings.TrimPrefix(at, "http://") || !strings.HasPrefix(where.Path, "/interaction/") {
		t.Error("after a logout the provider asks who it is:", where, bye.status)
	}
}

// header is what a browser sends as Cookie.
func (b *browser) header(at string) string {
	u, err := url.Parse(at)
	must(b.t, err)
	var list []string
	for _, c := range b.Jar.Cookies(u) {
		list = append(list, c.Name+"="+c.Value)
	}
	return strings.Join(list, "; ")
}

// Programs get an answer they understand instead of a login.
func TestLoginOfPrograms(t *testing.T) {
	p := startProvider(t)
	at := serve(t, load(t, p.section("")), auth.Deps{Keys: openKeys(t)})
	p.knows(t, at)
	for _, headers := range [][]string{
		nil, {"Accept", "application/json"}, {"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"}, {"Accept", "text/html", "Sec-Fetch-Mode", "cors"},
	} {
		got := get(t, at, headers...)
		want(t, got, 401, "HR4040")
		if challenges(got) != `Cookie realm="headrace", form-action="/oidc/login", cookie-name="headrace_session"` {
			t.Error(challenges(got))
		}
	}
	begun := get(t, at, "Accept", "text/html")
	to, err := url.Parse(begun.header.Get("Location"))
	must(t, err)
	q := to.Query()
	if begun.status != 302 || !strings.HasPrefix(to.String(), p.issuer) || q.Get("code_challenge_method") != "S256" || len(q.Get("state")) < 20 || len(q.Get("nonce")) < 20 ||
		q.Get("redirect_uri") != at+"/oidc/callback" || q.Get("response_type") != "code" || begun.header.Get("Cache-Control") != "no-store" {
		t.Error(begun)
	}
	set := begun.header.Get("Set-Cookie")
	if !strings.Contains(set, "HttpOnly") || !strings.Contains(set, "SameSite=Lax") {
		t.Error(set)
	}
	attempt, _, _ := strings.Cut(set, ";")
	state := q.Get("state")
	for name, r := range map[string]answer{
		"no state":         get(t, at+"/oidc/callback?code=x", "Cookie", attempt),
		"no cookie":        get(t, at+"/oidc/callback?code=x&state="+state),
		"another state":    get(t, at+"/oidc/callback?code=x&state="+state[:10]+"X", "Cookie", attempt),
		"refused":          get(t, at+"/oidc/callback?error=access_denied&state="+state, "Cookie", attempt),
		"another provider": get(t, at+"/oidc/callback?code=x&iss=https://evil.example&state="+state, "Cookie", attempt),
		"a wrong code":     get(t, at+"/oidc/callback?code=x&state="+state, "Cookie", attempt),
	} {
		if r.status != 400 || r.code() != "HR4053" {
			t.Error(name, r.status, r.body)
		}
	}
	// The cookie of an attempt is no session.
	_, value, _ := strings.Cut(attempt, "=")
	want(t, get(t, at, "Cookie", "headrace_session=1."+value), 401, "HR4040")
}

func TestLoginNeedsClaims(t *testing.T) {
	p := startProvider(t)
	at := serve(t, load(t, p.section(", claims: {groups: staff}")), auth.Deps{Keys: openKeys(t)})
	p.knows(t, at)
	page, _ := newBrowser(t).login(at, "bob")
	want(t, page, 403, "HR4043")
	ann := newBrowser(t)
	page, where := ann.login(at+"/oidc/login?next=//evil.example", "ann")
	if page.echoed(t).Subject != "ann" || where.String() != at+"/" {
		t.Error(where)
	}
}

// A session is refreshed once its token ends, once for all requests that come at the same time.
func TestRefresh(t *testing.T) {
	p := startProvider(t, "ACCESS_TTL=2")
	at := serve(t, load(t, p.section("")), auth.Deps{Keys: openKeys(t)})
	p.knows(t, at)
	b := newBrowser(t)
	page, _ := b.login(at, "ann")
	page.echoed(t)
	old := b.header(at)
	refreshed := func() string { return get(t, p.issuer+"/refreshed").body }
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for refreshed() == "0" {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the session is never refreshed")
		}
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				if got := get(t, at, "Cookie", old); got.status != 200 {
					t.Error(got.status, got.body)
				}
			})
		}
		wait.Wait()
	}
	if n := refreshed(); n != "1" {
		t.Error("the token was refreshed", n, "times")
	}
	got := get(t, at, "Cookie", old)
	if got.echoed(t).Subject != "ann" || !strings.HasPrefix(got.header.Get("Set-Cookie"), "headrace_session=") {
		t.Error(got.header)
	}
}

// A provider that is away is told as such, and asked again.
func TestProviderAway(t *testing.T) {
	at := serve(t, load(t, `{oidc: {issuer: "http://127.0.0.1:1", client_id: x}}`), auth.Deps{Keys: openKeys(t)})
	want(t, get(t, at, "Accept", "text/html"), 502, "HR4049")
	want(t, get(t, at), 401, "HR4040")
}
