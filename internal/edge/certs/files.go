// Package certs keeps the certificates of the public door: those of files, and those that an authority gives by ACME.
package certs

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// files are certificates by the names they are for, in lower case; a wildcard is kept under what follows its star.
type files struct {
	all  []*tls.Certificate
	name map[string][]*tls.Certificate
}

// loadFiles reads all, or none with HR4032.
func loadFiles(list []config.Certificate) (*files, error) {
	f := &files{name: map[string][]*tls.Certificate{}}
	for i, one := range list {
		at := fmt.Sprintf("server.tls.certificates[%d]", i)
		cert, err := tls.LoadX509KeyPair(one.Certificate, one.Key)
		if err != nil {
			return nil, problem.New("HR4032", "%s with %s: %w", one.Certificate, one.Key, err).At(at)
		}
		names := cert.Leaf.DNSNames
		for _, ip := range cert.Leaf.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			return nil, problem.New("HR4032", "%s is for no name", one.Certificate).At(at).Hinting("make a certificate with subject alternative names")
		}
		for _, name := range names {
			name = strings.TrimPrefix(strings.ToLower(name), "*")
			f.name[name] = append(f.name[name], &cert)
		}
		f.all = append(f.all, &cert)
	}
	return f, nil
}

// find is the certificate for the name that a client asks for, of a kind that it can check; nil if there is none.
func (f *files) find(hello *tls.ClientHelloInfo) *tls.Certificate {
	name := strings.TrimSuffix(strings.ToLower(hello.ServerName), ".")
	if name == "" { // clients send no names that are addresses
		name, _, _ = net.SplitHostPort(hello.Conn.LocalAddr().String())
	}
	if c := best(f.name[name], hello); c != nil {
		return c
	}
	if _, rest, ok := strings.Cut(name, "."); ok {
		return best(f.name["."+rest], hello)
	}
	return nil
}

// best prefers what the client can check over what came first.
func best(list []*tls.Certificate, hello *tls.ClientHelloInfo) *tls.Certificate {
	for _, c := range list {
		if hello.SupportsCertificate(c) == nil {
			return c
		}
	}
	if len(list) > 0 {
		return list[0]
	}
	return nil
}

// Authorities reads the certificates that those of clients must lead to: HR4032.
func Authorities(file string) (*x509.CertPool, error) {
	return authorities(file, "server.tls.client_ca")
}

func authorities(file, key string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, problem.New("HR4032", "%w", err).At(key)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, problem.New("HR4032", "%s holds no certificate", file).At(key)
	}
	return pool, nil
}
