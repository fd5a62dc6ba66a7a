package certs

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"slices"
	"sync/atomic"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Deps are what certificates need. Engine and Health are for ACME alone.
type Deps struct {
	Engine *engine.Engine
	Health *observe.Health
	Log    *slog.Logger
}

// Set answers handshakes. Its certificates of files may be replaced while it does.
type Set struct {
	files atomic.Pointer[files]
	acme  *authority // nil without
}

// New reads the certificates of files, HR4032 if one cannot be used, and makes ready for ACME, HR4034 if its certificates cannot be kept.
func New(ctx context.Context, c *config.TLS, d Deps) (*Set, error) {
	s := &Set{}
	use, err := s.Prepare(c)
	if err != nil {
		return nil, err
	}
	use()
	if c.ACME != nil {
		if s.acme, err = newAuthority(ctx, c.ACME, len(c.Certificates) == 0, d); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Prepare reads the files again: HR4032 if one cannot be used. They are used when the function it returns is called.
func (s *Set) Prepare(c *config.TLS) (use func(), err error) {
	f, err := loadFiles(c.Certificates)
	if err != nil {
		return nil, err
	}
	return func() { s.files.Store(f) }, nil
}

// Start gets certificates, once the doors are open that answer the challenges. It does not wait for them.
func (s *Set) Start(plain, secure net.Addr) error {
	if s.acme == nil {
		return nil
	}
	return s.acme.start(plain, secure)
}

// Challenge answers a request that asks for the proof of a name; false is for somebody else.
func (s *Set) Challenge(r *exchange.Request) bool { return s.acme != nil && s.acme.challenge(r) }

// Stop ends the renewal of certificates.
func (s *Set) Stop() {
	if s.acme != nil {
		s.acme.stop()
	}
}

// Certificate is that of a handshake: of a file for the name, of ACME for the name, and otherwise the first file.
func (s *Set) Certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if s.acme != nil && slices.Contains(hello.SupportedProtos, "acme-tls/1") && len(hello.SupportedProtos) == 1 {
		return s.acme.certificate(hello)
	}
	f := s.files.Load()
	if c := f.find(hello); c != nil {
		return c, nil
	}
	var failed error
	if s.acme != nil {
		var c *tls.Certificate
		if c, failed = s.acme.certificate(hello); failed == nil {
			return c, nil
		}
	}
	if c := best(f.all, hello); c != nil {
		return c, nil
	}
	return nil, problem.New("HR4033", "there is no certificate for %.100q: %w", hello.ServerName, failed)
}
