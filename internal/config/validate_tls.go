package config

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// secure is the address of the door with TLS; empty without one.
func (s *Server) secure() string {
	if s.TLS == nil {
		return ""
	}
	return s.TLS.Listen
}

func (c *Config) validateTLS(at string, t *TLS) error {
	if t == nil {
		return nil
	}
	if len(t.Certificates) == 0 && t.ACME == nil {
		return c.invalid(at, "there is no certificate").Hinting("list files in %s.certificates, or set %s.acme.hosts", at, at)
	}
	for i, one := range t.Certificates {
		if one.Certificate == "" || one.Key == "" {
			return c.invalid(fmt.Sprintf("%s.certificates[%d]", at, i), "a certificate and its key are needed").Hinting("name the PEM files of both")
		}
	}
	if t.ClientAuth != "none" && t.ClientCA == "" {
		return c.invalid(at+".client_auth", "client certificates are asked for, and no authority is trusted").Hinting("set %s.client_ca to a PEM file", at)
	}
	if t.ClientAuth == "none" && t.ClientCA != "" {
		return c.invalid(at+".client_ca", "no client certificate is asked for").Hinting("set %s.client_auth to request or require", at)
	}
	return c.validateACME(at+".acme", t)
}

func (c *Config) validateACME(at string, t *TLS) error {
	a := t.ACME
	if a == nil {
		return nil
	}
	if len(a.Hosts) == 0 {
		return c.invalid(at, "it has no hosts").Hinting("list the names to get certificates for in %s.hosts", at)
	}
	for i, host := range a.Hosts {
		path := fmt.Sprintf("%s.hosts[%d]", at, i)
		if strings.Contains(host, "*") {
			return c.invalid(path, "a wildcard is proved in the DNS, which headrace does not write").Hinting("list the names one by one, or use files in server.tls.certificates")
		}
		if _, err := netip.ParseAddr(host); err != nil && !hostname(host) {
			return c.invalid(path, "%.100q is not a name", host).Hinting("write a name such as www.example.com")
		}
	}
	if u, err := url.Parse(a.Directory); err != nil || u.Scheme != "https" || u.Host == "" {
		return c.invalid(at+".directory", "it is not an https address").Hinting("write https://acme-v02.api.letsencrypt.org/directory")
	}
	if len(a.Challenges) == 0 {
		return c.invalid(at+".challenges", "it is empty").Hinting("write http, tls-alpn or both")
	}
	for i, challenge := range a.Challenges {
		if !slices.Contains([]string{"http", "tls-alpn"}, challenge) {
			return c.invalid(fmt.Sprintf("%s.challenges[%d]", at, i), "%.40q is not a challenge", challenge).Hinting("write http or tls-alpn")
		}
	}
	if (a.AccountKeyID == "") != (a.AccountKey == "") {
		return c.invalid(at+".account_key_id", "account_key_id and account_key belong together").Hinting("set both, or none")
	}
	if _, err := base64.RawURLEncoding.DecodeString(a.AccountKey); err != nil {
		return c.invalid(at+".account_key", "it is not base64 for addresses").Hinting("write it as the authority gives it")
	}
	return nil
}

// hostname tells whether a text is a name of the DNS.
func hostname(name string) bool {
	if len(name) > 253 || name == "" {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "-") != label || strings.Trim(strings.ToLower(label), "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return false
		}
	}
	return true
}
