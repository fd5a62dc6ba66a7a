package auth

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// provider is an OpenID provider, which is asked what it can when the first login begins. It outlives a reload.
type provider struct {
	issuer, client, secret string
	scopes                 []string
	timeout                time.Duration
	http                   *http.Client

	mu       sync.Mutex
	found    *discovery
	failed   error
	failedAt time.Time

	renewals *recall[[sha256.Size]byte, *renewal]
	renewing sync.Mutex
}

// discovery is what a provider tells of itself.
type discovery struct {
	*oidc.Provider
	verifier *oidc.IDTokenVerifier
	end      string // address that ends its session; "" if it has none
}

const (
	discoverAgain = time.Second      // after a failure
	renewalKept   = 30 * time.Second // for requests that were sent with the old cookie
	mostRenewals  = 4096
)

func (g *Registry) provider(c *config.OIDC) (*provider, error) {
	return g.providers.get(struct {
		Issuer, Client, Secret string
		Scopes                 []string
		Timeout                time.Duration
	}{c.Issuer, c.ClientID, c.ClientSecret, c.Scopes, c.Timeout}, func() (*provider, error) {
		p := &provider{
			issuer: c.Issuer, client: c.ClientID, secret: c.ClientSecret, scopes: []string{oidc.ScopeOpenID}, timeout: c.Timeout, http: newClient(16),
			renewals: newRecall[[sha256.Size]byte, *renewal](mostRenewals),
		}
		for _, scope := range c.Scopes {
			if scope != oidc.ScopeOpenID {
				p.scopes = append(p.scopes, scope)
			}
		}
		return p, nil
	})
}

// bound is a context for requests to the provider.
func (p *provider) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(oidc.ClientContext(ctx, p.http), p.timeout)
}

// discover returns what the provider tells of itself: HR4049 or HR4050 if it cannot be asked.
func (p *provider) discover(ctx context.Context) (*discovery, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found != nil {
		return p.found, nil
	}
	if p.failed != nil && time.Since(p.failedAt) < discoverAgain {
		return nil, p.failed
	}
	found, err := oidc.NewProvider(ctx, p.issuer)
	if err != nil {
		p.failed, p.failedAt = p.failure(ctx, err), time.Now()
		return nil, p.failed
	}
	var more struct {
		End string `json:"end_session_endpoint"`
	}
	_ = found.Claims(&more) // it was read once already
	p.found = &discovery{Provider: found, verifier: found.Verifier(&oidc.Config{ClientID: p.client}), end: more.End}
	return p.found, nil
}

// failure says that the provider did not answer, or what it refused.
func (p *provider) failure(ctx context.Context, err error) error {
	var told *oauth2.RetrieveError
	switch {
	case errors.As(err, &told) && told.ErrorCode != "":
		return problem.New("HR4053", "the provider refuses: %.100q", told.ErrorCode)
	case ctx.Err() != nil:
		return problem.New("HR4050", "the provider did not answer within %s", p.timeout)
	}
	var address *url.Error
	if errors.As(err, &address) {
		err = errors.New("it cannot be reached")
	}
	return problem.New("HR4049", "the provider %s: %w", p.issuer, err)
}

func (p *provider) oauth(d *discovery, callback string) *oauth2.Config {
	return &oauth2.Config{ClientID: p.client, ClientSecret: p.secret, Endpoint: d.Endpoint(), RedirectURL: callback, Scopes: p.scopes}
}

// tokens are what a provider has given for a code or a refresh token.
type given struct {
	subject string
	claims  json.RawMessage // of the ID token; nil if there was none with a refresh
	id      string          // the ID token
	refresh string
	until   time.Time // when it is to be refreshed; zero is never
	scope   string
}

// verify checks the ID token among what the provider has given. With a refresh there may be none.
func (p *provider) verify(ctx context.Context, d *discovery, t *oauth2.Token, nonce string) (*given, error) {
	g := &given{refresh: t.RefreshToken}
	if g.refresh != "" {
		g.until = t.Expiry
	}
	g.scope, _ = t.Extra("scope").(string)
	g.id, _ = t.Extra("id_token").(string)
	if g.id == "" {
		return g, nil
	}
	id, err := d.verifier.Verify(ctx, g.id)
	if err != nil {
		return nil, problem.New("HR4053", "the ID token is not valid: %w", err)
	}
	if nonce != "" && id.Nonce != nonce {
		return nil, problem.New("HR4053", "the ID token is of another login")
	}
	g.subject = id.Subject
	return g, id.Claims(&g.claims)
}

// renewal is one use of a refresh token, whose result all requests that bring it share: providers take a second use for theft.
type renewal struct {
	once  sync.Once
	given *given
	err   error
}

// renew uses a refresh token, once.
func (p *provider) renew(ctx context.Context, refresh string) (*given, error) {
	key, now := sha256.Sum256([]byte(refresh)), time.Now()
	p.renewing.Lock()
	r, ok := p.renewals.get(key, now)
	if !ok {
		r = &renewal{}
		p.renewals.put(key, r, now, renewalKept)
	}
	p.renewing.Unlock()
	r.once.Do(func() { r.given, r.err = p.refresh(ctx, refresh) })
	if r.err != nil && problem.From(r.err).Code != "HR4053" { // it was not used: the next one may
		p.renewing.Lock()
		if there, ok := p.renewals.get(key, now); ok && there == r {
			p.renewals.put(key, &renewal{}, now, renewalKept)
		}
		p.renewing.Unlock()
	}
	return r.given, r.err
}

func (p *provider) refresh(ctx context.Context, refresh string) (*given, error) {
	ctx, cancel := p.bound(ctx)
	defer cancel()
	d, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	t, err := p.oauth(d, "").TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return nil, p.failure(ctx, err)
	}
	return p.verify(ctx, d, t, "")
}
