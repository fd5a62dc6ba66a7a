package auth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// login is the way oidc.
type login struct {
	config   *config.OIDC
	provider *provider
	sealer   *sealer
	jar      *jar
	about    string // what session cookies are bound to
	headers  *headers
	known    *recall[[sha256.Size]byte, *opened]
	now      func() time.Time
}

// session is what the cookie holds.
type session struct {
	Subject string          `json:"sub"`
	Scope   string          `json:"scope,omitempty"`
	Claims  json.RawMessage `json:"claims,omitempty"`
	Began   int64           `json:"began"`           // Unix seconds
	Until   int64           `json:"until,omitempty"` // when it is to be refreshed, Unix seconds; 0 is never
	Refresh string          `json:"refresh,omitempty"`
	ID      string          `json:"id,omitempty"` // the ID token, for the logout at the provider
}

// opened is a cookie that was decrypted.
type opened struct {
	session *session
	verdict
}

const (
	knownSessions = 4096
	longestHint   = 2 << 10 // bytes of an ID token that the cookie keeps
)

func addOIDC(c *config.Auth, d Deps, p *policy) error {
	if c.OIDC == nil {
		return nil
	}
	provider, err := d.Registry.provider(c.OIDC)
	if err != nil {
		return err
	}
	key, err := cookieKey(c.OIDC, d)
	if err != nil {
		return err
	}
	l := &login{
		config: c.OIDC, provider: provider, jar: &jar{name: c.OIDC.Cookie, domain: c.OIDC.Domain}, about: "session " + c.OIDC.Issuer + " " + c.OIDC.ClientID,
		headers: p.headers, known: newRecall[[sha256.Size]byte, *opened](knownSessions), now: time.Now,
	}
	if l.sealer, err = newSealer(key); err != nil {
		return err
	}
	p.add("oidc", l.ask, `Cookie form-action="`+c.OIDC.Login+`", cookie-name="`+c.OIDC.Cookie+`"`)
	p.begin = l.begin
	p.finish = l.finish
	return nil
}

// keyTime bounds the wait for the engine.
const keyTime = 10 * time.Second

// cookieKey is that of the configuration, or the one that all nodes share.
func cookieKey(c *config.OIDC, d Deps) ([]byte, error) {
	if c.Key != "" {
		return base64.StdEncoding.DecodeString(c.Key)
	}
	if d.Keys == nil {
		return nil, errors.New("auth: there is no store of keys")
	}
	ctx, cancel := context.WithTimeout(context.Background(), keyTime)
	defer cancel()
	return d.Keys.Secret(ctx, "oidc")
}

// ask looks at the cookie, and answers the paths of the login itself.
func (l *login) ask(r *exchange.Request) (*grant, error) {
	switch string(r.Path()) {
	case l.config.Callback:
		return nil, l.callback(r)
	case l.config.Logout:
		return nil, l.logout(r)
	case l.config.Login:
		return nil, l.start(r, local(string(r.QueryArgs().Peek("next"))))
	}
	text := l.jar.read(r)
	if text == "" {
		return nil, nil
	}
	o := l.open(text)
	if o == nil {
		return nil, nil // of another key, or too old: as if it was not there
	}
	if until := o.session.Until; until != 0 && l.now().Unix() >= until {
		renewed, err := l.renew(r, o.session)
		if err != nil || renewed == nil {
			return nil, err
		}
		o = renewed
	}
	l.jar.hide(r)
	return o.grant, o.err
}

// open decrypts a cookie; nil if it is none of ours, or its time is over.
func (l *login) open(text string) *opened {
	now := l.now()
	key := sha256.Sum256([]byte(text))
	o, ok := l.known.get(key, now)
	if !ok {
		o = &opened{session: &session{}}
		if !l.sealer.open(text, l.about, o.session) {
			return nil
		}
		o.verdict = *l.judge(o.session)
		l.known.put(key, o, now, 0)
	}
	if now.Sub(time.Unix(o.session.Began, 0)) >= l.config.Session {
		return nil
	}
	return o
}

// judge holds a session against what the route asks for.
func (l *login) judge(s *session) *verdict {
	who := &identity.Identity{Method: "oidc", Subject: s.Subject, Scopes: strings.Fields(s.Scope), Claims: s.Claims}
	if err := allowed(who, read(s.Claims), l.config.Claims, nil); err != nil {
		return &verdict{err: problem.New("HR4043", "%s", problem.From(err).What)}
	}
	return &verdict{grant: &grant{who, l.headers.of(who)}}
}

// keep is the part of the claims that the cookie holds: those that are asked for, those that headers are made of, and those that are configured.
func (l *login) keep(all json.RawMessage) json.RawMessage {
	from, kept := read(all), map[string]json.RawMessage{}
	take := func(name string) {
		for ; name != ""; name = name[:max(0, strings.LastIndexByte(name, '.'))] { // the object that holds a nested one
			if value, ok := from[name]; ok {
				kept[name] = value
				return
			}
		}
	}
	for _, name := range l.config.Keep {
		take(name)
	}
	for name := range l.config.Claims {
		take(name)
	}
	for _, name := range l.headers.made {
		take(name)
	}
	out, err := json.Marshal(kept)
	if err != nil {
		return nil
	}
	return out
}

// renewed is the key of the cookie that finish writes.
const renewed = "headrace.auth.session"

// renew asks the provider whether the user is still one. A nil result without an error is a session that is over.
func (l *login) renew(r *exchange.Request, s *session) (*opened, error) {
	g, err := l.provider.renew(r.Running(), s.Refresh)
	if err != nil {
		if problem.From(err).Code == "HR4053" {
			return nil, nil
		}
		return nil, err
	}
	next := *s
	next.Until = 0
	if !g.until.IsZero() {
		next.Until = g.until.Unix()
	}
	if g.refresh != "" {
		next.Refresh = g.refresh
	}
	if g.claims != nil {
		if g.subject != s.Subject {
			return nil, nil
		}
		next.Claims = l.keep(g.claims)
	}
	if g.id != "" && len(g.id) <= longestHint {
		next.ID = g.id
	}
	text, err := l.sealer.seal(&next, l.about)
	if err != nil {
		return nil, err
	}
	r.SetUserValue(renewed, text)
	return &opened{session: &next, verdict: *l.judge(&next)}, nil
}

// finish gives the answer the cookie of a session that was refreshed; before, an upstream's answer would have replaced it.
func (l *login) finish(r *exchange.Request) {
	if text, ok := r.UserValue(renewed).(string); ok {
		l.jar.write(r, text, l.config.Session)
	}
}
