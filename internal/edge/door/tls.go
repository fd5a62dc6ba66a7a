package door

import (
	"crypto/tls"

	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/certs"
)

// acmeProtocol is the protocol of the challenge tls-alpn-01.
const acmeProtocol = "acme-tls/1"

// terms is what clients must agree to; it is replaced on reload.
type terms struct{ tcp, quic *tls.Config }

func newTerms(c *config.TLS, set *certs.Set) (*terms, error) {
	base := &tls.Config{GetCertificate: set.Certificate, MinVersion: tls.VersionTLS12}
	if c.MinVersion == "1.3" {
		base.MinVersion = tls.VersionTLS13
	}
	if c.ClientAuth != "none" {
		pool, err := certs.Authorities(c.ClientCA)
		if err != nil {
			return nil, err
		}
		base.ClientCAs = pool
		base.ClientAuth = tls.VerifyClientCertIfGiven
		if c.ClientAuth == "require" {
			base.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	t := &terms{tcp: base, quic: base.Clone()}
	t.tcp.NextProtos = []string{http2.NextProtoTLS, "http/1.1"}
	t.quic.NextProtos = []string{http3.NextProtoH3}
	t.quic.MinVersion = tls.VersionTLS13
	return t, nil
}

// tcp is the configuration of the listener, which asks for the current terms with every handshake. A challenge of ACME asks for nothing.
func (d *Doors) tcp() *tls.Config {
	challenge := &tls.Config{GetCertificate: d.certs.Certificate, NextProtos: []string{acmeProtocol}, MinVersion: tls.VersionTLS12}
	return &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		if len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acmeProtocol {
			return challenge, nil
		}
		return d.terms.Load().tcp, nil
	}}
}

func (d *Doors) quic() *tls.Config {
	return &tls.Config{
		NextProtos: []string{http3.NextProtoH3}, MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return d.terms.Load().quic, nil },
	}
}
