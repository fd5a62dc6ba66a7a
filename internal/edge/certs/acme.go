package certs

import (
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"github.com/caddyserver/certmagic"
	"github.com/mholt/acmez/v3/acme"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

var noCertificate = &observe.Condition{Code: "acme-certificate", Severity: observe.Warning, Title: "a certificate cannot be obtained or renewed"}

// authority gets certificates by ACME, keeps them in the engine and renews them.
type authority struct {
	c       *config.ACME
	deps    Deps
	storage *storage
	cache   *certmagic.Cache
	magic   *certmagic.Config
	issuer  *certmagic.ACMEIssuer
	running context.Context
	end     context.CancelFunc
	once    sync.Once // of stop
}

// newAuthority opens the storage. only tells that there are no certificates but those of ACME.
func newAuthority(ctx context.Context, c *config.ACME, only bool, d Deps) (*authority, error) {
	a := &authority{c: c, deps: d}
	var err error
	if a.storage, err = openStorage(ctx, d.Engine, d.Log); err != nil {
		return nil, err
	}
	a.running, a.end = context.WithCancel(context.Background())
	log := bridge(d.Log.With("plane", "acme"))
	a.cache = certmagic.NewCache(certmagic.CacheOptions{
		GetConfigForCert:   func(certmagic.Certificate) (*certmagic.Config, error) { return a.magic, nil },
		RenewCheckInterval: c.RenewInterval, Logger: log,
	})
	settings := certmagic.Config{
		Storage: a.storage, Logger: log, KeySource: certmagic.StandardKeyGenerator{KeyType: certmagic.KeyType(c.KeyType)},
		RenewalWindowRatio: certmagic.DefaultRenewalWindowRatio, DefaultServerName: c.Hosts[0], OnEvent: a.event,
	}
	if only {
		settings.FallbackServerName = c.Hosts[0]
	}
	a.magic = certmagic.New(a.cache, settings)
	return a, nil
}

// start gets certificates that are not there, in the background. The doors at the two addresses answer the challenges.
func (a *authority) start(plain, secure net.Addr) error {
	c := a.c
	template := certmagic.ACMEIssuer{
		CA: c.Directory, Email: c.Email, Agreed: true, Logger: a.magic.Logger, AltHTTPPort: port(plain), AltTLSALPNPort: port(secure),
		DisableHTTPChallenge: !slices.Contains(c.Challenges, "http"), DisableTLSALPNChallenge: !slices.Contains(c.Challenges, "tls-alpn"),
	}
	if host := plain.(*net.TCPAddr).IP; !host.IsUnspecified() && host.Equal(secure.(*net.TCPAddr).IP) {
		template.ListenHost = host.String()
	}
	if c.AccountKeyID != "" {
		template.ExternalAccount = &acme.EAB{KeyID: c.AccountKeyID, MACKey: c.AccountKey}
	}
	if c.CA != "" {
		var err error
		if template.TrustedRoots, err = authorities(c.CA, "server.tls.acme.ca"); err != nil {
			return err
		}
	}
	a.issuer = certmagic.NewACMEIssuer(a.magic, template)
	a.magic.Issuers = []certmagic.Issuer{a.issuer}
	if err := a.magic.ManageAsync(a.running, c.Hosts); err != nil {
		return problem.New("HR4033", "%w", err).At("server.tls.acme")
	}
	return nil
}

func port(a net.Addr) int { return a.(*net.TCPAddr).Port }

// event is told what happens to certificates.
func (a *authority) event(_ context.Context, event string, data map[string]any) error {
	name, _ := data["identifier"].(string)
	switch event {
	case "cert_obtained":
		renewal, _ := data["renewal"].(bool)
		a.deps.Log.Info("certificate obtained", "name", name, "renewal", renewal)
		if a.deps.Health != nil {
			a.deps.Health.Clear(noCertificate, name)
		}
	case "cert_failed":
		err, _ := data["error"].(error)
		a.deps.Log.Error("certificate is not obtained, it is tried again", "name", name, observe.Error(problem.New("HR4033", "%s: %w", name, err)))
		if a.deps.Health != nil {
			a.deps.Health.Raise(noCertificate, name, "%s: %v", name, err)
		}
	}
	return nil
}

func (a *authority) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	return a.magic.GetCertificate(hello)
}

// challenge answers a challenge of http-01, that of another node, too.
func (a *authority) challenge(r *exchange.Request) bool {
	if a.issuer == nil {
		return false
	}
	w := &page{header: http.Header{}}
	request := &http.Request{Method: string(r.Method()), Host: string(r.Host()), URL: &url.URL{Path: string(r.Path())}}
	if !a.issuer.HandleHTTPChallenge(w, request) {
		return false
	}
	r.Response.Header.SetContentType(strings.Join(w.header["Content-Type"], ""))
	r.Response.SetStatusCode(max(w.status, http.StatusOK))
	r.Response.SetBody(w.Bytes())
	return true
}

// page is a short answer in memory.
type page struct {
	bytes.Buffer
	header http.Header
	status int
}

func (p *page) Header() http.Header    { return p.header }
func (p *page) WriteHeader(status int) { p.status = status }

func (a *authority) stop() {
	a.once.Do(func() {
		a.end()
		a.cache.Stop()
		a.storage.close()
	})
}
