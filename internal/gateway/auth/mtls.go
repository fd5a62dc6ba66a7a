package auth

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"path"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// certificates is the way mtls.
type certificates struct {
	names   []string
	headers *headers
	known   *recall[*x509.Certificate, *verdict]
	now     func() time.Time
}

func addMTLS(c *config.Auth, _ Deps, p *policy) error {
	if c.MTLS == nil {
		return nil
	}
	m := &certificates{headers: p.headers, known: newRecall[*x509.Certificate, *verdict](knownTokens), now: time.Now}
	for _, name := range c.MTLS.Names {
		m.names = append(m.names, literal(strings.ToLower(name)))
	}
	p.add("mtls", m.ask, "")
	return nil
}

// literal is a pattern in which only * means something, and stands for / as well.
func literal(text string) string {
	return strings.NewReplacer("/", "\x00", "\\", "\\\\", "?", "\\?", "[", "\\[", "]", "\\]").Replace(text)
}

func (m *certificates) ask(r *exchange.Request) (*grant, error) {
	shown := r.PeerCertificates()
	if len(shown) == 0 {
		return nil, nil
	}
	return m.check(shown[0])
}

func (m *certificates) check(c *x509.Certificate) (*grant, error) {
	if now := m.now(); now.After(c.NotAfter) || now.Before(c.NotBefore) { // connections live longer than the handshake
		return nil, problem.New("HR4048", "the client certificate is not valid at this time").Hinting("renew the certificate of the client, and connect again")
	}
	v, ok := m.known.get(c, time.Time{})
	if !ok {
		v = m.judge(c)
		m.known.put(c, v, time.Time{}, 0)
	}
	return v.grant, v.err
}

func (m *certificates) judge(c *x509.Certificate) *verdict {
	uris := []string{}
	for _, u := range c.URIs {
		uris = append(uris, u.String())
	}
	names := append([]string{c.Subject.CommonName}, c.DNSNames...)
	names = append(append(names, c.EmailAddresses...), uris...)
	subject := ""
	fits := len(m.names) == 0
	for _, name := range names {
		if name == "" {
			continue
		}
		if subject == "" {
			subject = name
		}
		fits = fits || m.allows(name)
	}
	if !fits || subject == "" {
		return &verdict{err: problem.New("HR4048", "the client certificate is that of %.100q", subject)}
	}
	sum := sha256.Sum256(c.Raw)
	told, err := json.Marshal(map[string]any{
		"cn": c.Subject.CommonName, "organization": c.Subject.Organization, "organizational_unit": c.Subject.OrganizationalUnit, "dns": c.DNSNames, "email": c.EmailAddresses,
		"uri": uris, "serial": c.SerialNumber.Text(16), "issuer": c.Issuer.String(), "fingerprint": hex.EncodeToString(sum[:]),
	})
	if err != nil {
		return &verdict{err: err}
	}
	who := &identity.Identity{Method: "mtls", Subject: subject, Claims: told}
	return &verdict{grant: &grant{who, m.headers.of(who)}}
}

func (m *certificates) allows(name string) bool {
	name = strings.ReplaceAll(strings.ToLower(name), "/", "\x00")
	for _, pattern := range m.names {
		if ok, err := path.Match(pattern, name); ok && err == nil {
			return true
		}
	}
	return false
}
