package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/auth"
)

// authority signs certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	certificate, err := x509.ParseCertificate(raw)
	must(t, err)
	return &authority{certificate, key}
}

func (a *authority) sign(t *testing.T, c *x509.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(255), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	raw, err := x509.CreateCertificate(rand.Reader, c, a.certificate, &key.PublicKey, a.key)
	must(t, err)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}
}

// A client certificate tells who asks, on the door of HTTP/2.
func TestMTLS(t *testing.T) {
	p, err := auth.New(load(t, `{headers: {X-User: sub, X-Serial: serial, X-Unit: organization}, mtls: {names: ["*.devices.example.com", ann, "spiffe://shop/*"]}}`),
		auth.Deps{Registry: auth.NewRegistry(), Log: logger(t)})
	must(t, err)
	chain := exchange.NewChain(echo, p)
	door := exchange.NewServer(exchange.Options{Plane: "edge", HeaderTimeout: time.Second, IdleTimeout: time.Second, Log: logger(t), Admit: chain.Admit, Serve: chain.Serve, Finish: chain.Finish})
	server := httptest.NewUnstartedServer(door)
	server.EnableHTTP2 = true
	ca := newAuthority(t)
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	server.TLS = &tls.Config{ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven}
	server.StartTLS()
	t.Cleanup(server.Close)

	ask := func(certificates ...tls.Certificate) answer {
		t.Helper()
		transport := server.Client().Transport.(*http.Transport).Clone()
		transport.TLSClientConfig.Certificates = certificates
		t.Cleanup(transport.CloseIdleConnections)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		must(t, err)
		request.Header.Set("X-User", "root")
		request.Header.Set("X_Serial", "0")
		got, err := (&http.Client{Transport: transport}).Do(request)
		must(t, err)
		if got.ProtoMajor != 2 {
			t.Error(got.Proto)
		}
		return read(t, got)
	}
	want(t, ask(), 401, "HR4040")
	spiffe, err := url.Parse("spiffe://shop/orders/api")
	must(t, err)
	for subject, c := range map[string]*x509.Certificate{
		"ann":                      {Subject: pkix.Name{CommonName: "ann", Organization: []string{"shop"}}},
		"seven":                    {Subject: pkix.Name{CommonName: "seven"}, DNSNames: []string{"7.devices.example.com"}},
		"8.devices.example.com":    {DNSNames: []string{"8.Devices.example.com"}},
		"spiffe://shop/orders/api": {URIs: []*url.URL{spiffe}},
	} {
		e := ask(ca.sign(t, c)).echoed(t)
		if e.Method != "mtls" || e.Headers["X-Serial"] != "ff" || e.Headers["X-User"] != e.Subject || e.Subject != subject && subject != "8.devices.example.com" || e.Headers["X_serial"] != "" {
			t.Error(subject, e)
		}
		if subject == "ann" && e.Headers["X-Unit"] != "shop" {
			t.Error(e)
		}
	}
	for _, c := range []*x509.Certificate{{Subject: pkix.Name{CommonName: "eve"}}, {Subject: pkix.Name{CommonName: "anna"}}, {DNSNames: []string{"devices.example.com"}}, {}} {
		want(t, ask(ca.sign(t, c)), 403, "HR4048")
	}
}
