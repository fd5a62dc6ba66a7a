package workers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// token is what a remote worker must know: a secret that opens the door, and the fingerprint of the certificate behind it.
type token struct {
	secret      string
	fingerprint [sha256.Size]byte
}

// String is the one line of a token file: secret, a dot, and the SHA-256 of the certificate in hex.
func (t token) String() string { return t.secret + "." + hex.EncodeToString(t.fingerprint[:]) }

func parseToken(line string) (t token, err error) {
	secret, print, _ := strings.Cut(strings.TrimSpace(line), ".")
	raw, err := hex.DecodeString(print)
	if err != nil || len(raw) != sha256.Size || len(secret) < 32 || strings.ContainsAny(secret, " \t\n") {
		return t, problem.New("HR6007", "the token file does not hold a secret and a fingerprint")
	}
	t.secret = secret
	copy(t.fingerprint[:], raw)
	return t, nil
}

func readToken(file string) (token, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return token{}, problem.New("HR6007", "the token file cannot be read: %w", err).At(file)
	}
	t, err := parseToken(string(data))
	if err != nil {
		return t, problem.From(err).At(file)
	}
	return t, nil
}

// TokenFile is where a Listener keeps the token of its folder.
func TokenFile(folder string) string { return filepath.Join(folder, "worker.token") }

// identity loads the certificate and the token of a folder, or makes them.
func identity(folder string) (tls.Certificate, token, error) {
	certFile, keyFile := filepath.Join(folder, "worker-cert.pem"), filepath.Join(folder, "worker-key.pem")
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err = makeCertificate(folder, certFile, keyFile); err == nil {
			cert, err = tls.LoadX509KeyPair(certFile, keyFile)
		}
	}
	if err != nil {
		return cert, token{}, err
	}
	print := sha256.Sum256(cert.Certificate[0])
	t, err := readToken(TokenFile(folder))
	if err == nil && t.fingerprint == print {
		return cert, t, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return cert, t, err
	}
	if t.secret == "" {
		secret := make([]byte, 32)
		if _, err := rand.Read(secret); err != nil {
			return cert, t, err
		}
		t.secret = base64.RawURLEncoding.EncodeToString(secret)
	}
	t.fingerprint = print
	return cert, t, os.WriteFile(TokenFile(folder), []byte(t.String()+"\n"), 0o600)
}

func makeCertificate(folder, certFile, keyFile string) error {
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	// Nobody checks names or dates: the fingerprint in the token is the trust.
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "headrace workers"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(100, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600)
}

// pinned trusts exactly the certificate of the token.
func (t token) pinned() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true, // replaced by the check of the fingerprint
		VerifyConnection: func(s tls.ConnectionState) error {
			if len(s.PeerCertificates) == 0 || sha256.Sum256(s.PeerCertificates[0].Raw) != t.fingerprint {
				return problem.New("HR6007", "the server's certificate is not the one of the token file")
			}
			return nil
		}}
}
