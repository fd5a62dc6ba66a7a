package balance

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"os"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// newTLS is what the targets of an upstream have in common, with a digest of the files it was made from.
func newTLS(name string, c *config.Upstream) (*tls.Config, [sha256.Size]byte, error) {
	cfg := &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: c.TLS.ServerName, InsecureSkipVerify: c.TLS.Insecure,
		ClientSessionCache: tls.NewLRUClientSessionCache(64),
	}
	if c.Protocol == "h2" {
		cfg.NextProtos = []string{"h2"}
	}
	var files bytes.Buffer
	read := func(file string) ([]byte, error) {
		data, err := os.ReadFile(file)
		files.Write(data)
		return data, err
	}
	at := "upstreams." + name + ".tls."
	none := [sha256.Size]byte{}
	if c.TLS.CA != "" {
		data, err := read(c.TLS.CA)
		if err != nil {
			return nil, none, problem.New("HR4022", "%w", err).At(at + "ca")
		}
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(data) {
			return nil, none, problem.New("HR4022", "%s has no certificate", c.TLS.CA).At(at + "ca")
		}
	}
	if c.TLS.Certificate != "" {
		certificate, err := read(c.TLS.Certificate)
		if err != nil {
			return nil, none, problem.New("HR4022", "%w", err).At(at + "certificate")
		}
		key, err := read(c.TLS.Key)
		if err != nil {
			return nil, none, problem.New("HR4022", "%w", err).At(at + "key")
		}
		pair, err := tls.X509KeyPair(certificate, key)
		if err != nil {
			return nil, none, problem.New("HR4022", "%w", err).At(at + "certificate")
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, sha256.Sum256(files.Bytes()), nil
}
