package auth

import (
	"bytes"
	"crypto/rand"
	"crypto/subtle"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// attempt is a login that has begun, kept in a cookie of its own, so that two tabs do not disturb each other.
type attempt struct {
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	Next     string `json:"next"` // path to go to afterwards
	Began    int64  `json:"began"`
}

// attemptTime is how long a person may take to log in.
const attemptTime = 15 * time.Minute

// attemptName is the name of the cookie of an attempt.
func (l *login) attemptName(state string) string { return l.config.Cookie + "_login_" + state[:8] }

// local is a path of this host, or / if a text could lead a browser anywhere else.
func local(text string) string {
	if text == "" || text[0] != '/' || strings.HasPrefix(text, "//") || strings.ContainsAny(text, "\\") || len(text) > 2048 ||
		strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return "/"
	}
	if u, err := url.Parse(text); err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || strings.HasPrefix(u.Path, "//") {
		return "/"
	}
	return text
}

// base is the address by which browsers reach this host.
func (l *login) base(r *exchange.Request) string {
	if l.config.BaseURL != "" {
		return strings.TrimSuffix(l.config.BaseURL, "/")
	}
	if r.Secure() {
		return "https://" + string(r.Host())
	}
	return "http://" + string(r.Host())
}

// page tells whether a request is for a page that a person looks at, whose browser can be sent to a login.
func page(r *exchange.Request) bool {
	if !r.IsGet() && !r.IsHead() || !r.Accepts("text/html") {
		return false
	}
	if mode := r.Request.Header.Peek("Sec-Fetch-Mode"); len(mode) > 0 && string(mode) != "navigate" {
		return false
	}
	return !bytes.EqualFold(r.Request.Header.Peek("X-Requested-With"), []byte("XMLHttpRequest")) && len(r.Request.Header.Peek("Upgrade")) == 0
}

// begin answers a request that shows nothing: with the way to the login if it is for a page.
func (l *login) begin(r *exchange.Request) error {
	if !page(r) {
		return problem.New("HR4040", "there is no session").Hinting("open %s in a browser", l.config.Login)
	}
	return l.start(r, local(string(r.URI().RequestURI())))
}

// start sends the browser to the provider.
func (l *login) start(r *exchange.Request, next string) error {
	ctx, cancel := l.provider.bound(r.Running())
	defer cancel()
	d, err := l.provider.discover(ctx)
	if err != nil {
		return err
	}
	a := attempt{State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), Next: next, Began: l.now().Unix()}
	text, err := l.sealer.seal(&a, l.about+" attempt")
	if err != nil {
		return err
	}
	to := l.provider.oauth(d, l.base(r)+l.config.Callback).AuthCodeURL(a.State, oidc.Nonce(a.Nonce), oauth2.S256ChallengeOption(a.Verifier))
	l.jar.set(r, l.attemptName(a.State), text, attemptTime)
	return l.redirect(r, to)
}

// redirect sends the browser somewhere; no cache keeps that.
func (l *login) redirect(r *exchange.Request, to string) error {
	r.Response.ResetBody()
	r.SetStatusCode(302)
	r.Response.Header.Set("Location", to)
	r.Response.Header.Set("Cache-Control", "no-store")
	return exchange.Answered
}

// callback takes the browser back from the provider, and begins the session.
func (l *login) callback(r *exchange.Request) error {
	r.Response.Header.Set("Cache-Control", "no-store")
	q := r.QueryArgs()
	a, err := l.attempt(r, string(q.Peek("state")))
	if err != nil {
		return err
	}
	l.jar.set(r, l.attemptName(a.State), "", 0)
	if refused := q.Peek("error"); len(refused) > 0 {
		return problem.New("HR4053", "the provider refuses: %.100q", refused)
	}
	if issuer := q.Peek("iss"); len(issuer) > 0 && string(issuer) != l.config.Issuer { // RFC 9207
		return problem.New("HR4053", "the answer is from another provider")
	}
	ctx, cancel := l.provider.bound(r.Running())
	defer cancel()
	d, err := l.provider.discover(ctx)
	if err != nil {
		return err
	}
	t, err := l.provider.oauth(d, l.base(r)+l.config.Callback).Exchange(ctx, string(q.Peek("code")), oauth2.VerifierOption(a.Verifier))
	if err != nil {
		return l.provider.failure(ctx, err)
	}
	g, err := l.provider.verify(ctx, d, t, a.Nonce)
	if err != nil {
		return err
	}
	if g.id == "" {
		return problem.New("HR4053", "the provider gave no ID token")
	}
	s := &session{Subject: g.subject, Scope: g.scope, Claims: l.keep(g.claims), Began: l.now().Unix(), Refresh: g.refresh}
	if s.Scope == "" {
		s.Scope = strings.Join(l.provider.scopes, " ")
	}
	if !g.until.IsZero() {
		s.Until = g.until.Unix()
	}
	if len(g.id) <= longestHint {
		s.ID = g.id
	}
	if v := l.judge(s); v.err != nil {
		return v.err
	}
	text, err := l.sealer.seal(s, l.about)
	if err != nil {
		return err
	}
	if !l.jar.write(r, text, l.config.Session) {
		return problem.New("HR4053", "the session does not fit into cookies").Hinting("keep fewer claims in auth.oidc.keep")
	}
	return l.redirect(r, a.Next)
}

// attempt is the login that a state belongs to, which this browser must have begun.
func (l *login) attempt(r *exchange.Request, state string) (*attempt, error) {
	var a attempt
	if len(state) < 8 || !l.sealer.open(string(r.Request.Header.Cookie(l.attemptName(state))), l.about+" attempt", &a) ||
		subtle.ConstantTimeCompare([]byte(a.State), []byte(state)) != 1 {
		return nil, problem.New("HR4053", "this browser has not begun the login, or lost its cookie")
	}
	if l.now().Sub(time.Unix(a.Began, 0)) > attemptTime {
		return nil, problem.New("HR4053", "the login took longer than %s", attemptTime)
	}
	return &a, nil
}

// logout ends the session here, and at the provider if it can.
func (l *login) logout(r *exchange.Request) error {
	var id string
	if o := l.open(l.jar.read(r)); o != nil {
		id = o.session.ID
	}
	l.jar.remove(r)
	after := l.config.AfterLogout
	if strings.HasPrefix(after, "/") {
		after = l.base(r) + after
	}
	ctx, cancel := l.provider.bound(r.Running())
	defer cancel()
	d, err := l.provider.discover(ctx)
	if err != nil || d.end == "" { // here it is over in any case
		return l.redirect(r, after)
	}
	to, err := url.Parse(d.end)
	if err != nil {
		return l.redirect(r, after)
	}
	q := to.Query()
	q.Set("client_id", l.config.ClientID)
	q.Set("post_logout_redirect_uri", after)
	if id != "" {
		q.Set("id_token_hint", id)
	}
	to.RawQuery = q.Encode()
	return l.redirect(r, to.String())
}
