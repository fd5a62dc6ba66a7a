package balance

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// checked sends checks often.
func checked(u *config.Upstream) {
	u.Health = config.HealthCheck{Path: "/health", Interval: 10 * time.Millisecond, Timeout: time.Second, Healthy: 2, Unhealthy: 3}
	u.Eject.SlowStart = 0
}

func TestHealthChecks(t *testing.T) {
	s := newSet(t)
	a, b := newBackend(t, "a"), newBackend(t, "b")
	u := put(t, s, one(checked, a.URL, b.URL))
	both := func() bool { return state(u, 0) == Healthy && state(u, 1) == Healthy }
	until(t, "both are well", both)
	a.status.Store(500)
	until(t, "one is out", func() bool { return state(u, 0) == Unhealthy })
	if why := u.Status().Targets[0].Why; why != "health check: status 500" {
		t.Error(why)
	}
	for range 10 {
		if body, _, err := send(u); body != "b" || err != nil {
			t.Fatal(body, err)
		}
	}
	if raised(s, "upstream-down") != "" {
		t.Error("condition with a target that is well")
	}
	b.status.Store(500)
	until(t, "the condition", func() bool { return raised(s, "upstream-down") != "" })
	refused(t, u, "HR4020")
	if why := "none of 2 targets of api, of which " + a.URL + ": health check: status 500"; u.Status().Why != why || raised(s, "upstream-down") != "api: "+why {
		t.Error(u.Status().Why, raised(s, "upstream-down"))
	}
	a.status.Store(204)
	b.status.Store(399)
	until(t, "both are back", both)
	if raised(s, "upstream-down") != "" {
		t.Error("the condition stays")
	}
}

func TestOneBadAnswerIsNotUnhealthy(t *testing.T) {
	s := newSet(t)
	a := newBackend(t, "a")
	u := put(t, s, one(func(u *config.Upstream) { checked(u); u.Health.Status = 204; u.Health.Unhealthy = 100 }, a.URL))
	until(t, "the first answer, which is bad", func() bool { return state(u, 0) == Unhealthy })
	a.status.Store(204)
	until(t, "it is well", func() bool { return state(u, 0) == Healthy })
	a.status.Store(200)
	n := a.checks.Load()
	until(t, "some checks", func() bool { return a.checks.Load() > n+10 })
	if state(u, 0) != Healthy {
		t.Error("left out too early")
	}
}

// TestUncheckedTargetsWaitForTheOthers has a target that does not answer its check yet.
func TestUncheckedTargetsWaitForTheOthers(t *testing.T) {
	s := newSet(t)
	a := newBackend(t, "a")
	answer := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-answer }))
	defer slow.Close()
	defer close(answer)
	u := put(t, s, one(func(u *config.Upstream) { checked(u); u.Health.Timeout = time.Minute }, slow.URL))
	if target := pick(t, u, &Pick{}); target.Name() != slow.URL || state(u, 0) != Starting {
		t.Error("it is the only one")
	}
	u = put(t, s, one(func(u *config.Upstream) { checked(u); u.Health.Timeout = time.Minute }, slow.URL, a.URL))
	until(t, "the other one is well", func() bool { return state(u, 1) == Healthy })
	if list := counts(t, u, 10); list[u.targets[0]] > 0 {
		t.Error("requests before the check was answered")
	}
}

func TestChecksLeaveTheirConnections(t *testing.T) {
	s := newSet(t)
	a := newBackend(t, "a")
	u := put(t, s, one(func(u *config.Upstream) { checked(u); u.Connections.Max = 1; u.Timeout.Connect = 5 * time.Millisecond }, a.URL))
	until(t, "a few checks", func() bool { return a.checks.Load() > 10 })
	if stats := u.targets[0].client.Stats(); stats.Dials != 1 || stats.Open != 1 {
		t.Errorf("%+v", stats)
	}
}

func TestUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	b := &backend{}
	b.status.Store(200)
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: b.handler("here")}}
	server.Start()
	defer server.Close()
	u := put(t, newSet(t), one(checked, "unix:"+path))
	until(t, "it is well", func() bool { return state(u, 0) == Healthy })
	body, target, err := send(u)
	if body != "here" || err != nil || target.URL().Host != "localhost" || target.Name() != "unix:"+path {
		t.Error(body, err, target.Name())
	}
}

// authority makes a certificate of a server and its files.
func authority(t *testing.T, server *httptest.Server) (ca, certificate, key string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	pair := server.TLS.Certificates[0]
	der, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return write("ca.pem", "CERTIFICATE", server.Certificate().Raw), write("cert.pem", "CERTIFICATE", pair.Certificate[0]), write("key.pem", "PRIVATE KEY", der)
}

func TestTLS(t *testing.T) {
	b := &backend{}
	b.status.Store(200)
	server := httptest.NewUnstartedServer(b.handler("safe"))
	server.Config.ErrorLog = nil
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	ca, certificate, key := authority(t, server)
	for _, c := range []struct {
		tls  config.UpstreamTLS
		want string
	}{
		{config.UpstreamTLS{CA: ca, Certificate: certificate, Key: key}, ""},
		{config.UpstreamTLS{CA: ca, Certificate: certificate, Key: key, ServerName: "example.com"}, ""},
		{config.UpstreamTLS{CA: ca, Certificate: certificate, Key: key, ServerName: "other.test"}, "not other.test"},
		{config.UpstreamTLS{Certificate: certificate, Key: key}, "unknown authority"},
		{config.UpstreamTLS{Certificate: certificate, Key: key, Insecure: true}, ""},
		{config.UpstreamTLS{CA: ca}, "certificate required"},
	} {
		u := put(t, newSet(t), one(func(u *config.Upstream) { u.TLS = c.tls }, server.URL))
		body, _, err := send(u)
		if c.want == "" && (err != nil || body != "safe") || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %q %v", c.tls, body, err)
		}
	}
	for at, c := range map[string]config.UpstreamTLS{
		"ca":          {CA: key},
		"certificate": {Certificate: certificate, Key: ca},
		"key":         {Certificate: certificate, Key: "/nowhere"},
	} {
		_, err := newSet(t).Prepare(t.Context(), conf(map[string]*config.Upstream{"api": one(func(u *config.Upstream) { u.TLS = c }, server.URL)}))
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != "HR4022" || p.Where != "upstreams.api.tls."+at {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestHTTP2(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = fmt.Fprint(w, r.Proto)
		w.Header().Set("Grpc-Status", "0")
	})
	for _, secure := range []bool{false, true} {
		server := httptest.NewUnstartedServer(handler)
		server.EnableHTTP2 = true
		server.Config.Protocols = new(http.Protocols)
		server.Config.Protocols.SetHTTP2(true)
		server.Config.Protocols.SetUnencryptedHTTP2(true)
		tlsConfig := config.UpstreamTLS{}
		if secure {
			server.StartTLS()
			tlsConfig.CA, _, _ = authority(t, server)
		} else {
			server.Start()
		}
		defer server.Close()
		s := newSet(t)
		u := put(t, s, one(func(u *config.Upstream) {
			checked(u)
			u.Protocol, u.TLS = "h2", tlsConfig
			u.Connections.KeepAlive = time.Second // after which one goes that a check was using when the set was stopped
		}, server.URL))
		until(t, "it is well", func() bool { return state(u, 0) == Healthy })
		target := pick(t, u, &Pick{})
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, target.URL().String()+"/", nil)
		resp, err := target.Transport().RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 100)
		n, _ := resp.Body.Read(body)
		for err == nil {
			_, err = resp.Body.Read(body[50:])
		}
		_ = resp.Body.Close()
		if string(body[:n]) != "HTTP/2.0" || resp.Trailer.Get("Grpc-Status") != "0" {
			t.Errorf("%q %v", body[:n], resp.Trailer)
		}
		if open := u.Status().Targets[0].Open; open != 1 {
			t.Errorf("%d connections", open)
		}
		s.Stop()
		until(t, "the connection is closed", func() bool { return target.dialed.Load() == 0 })
	}
}
