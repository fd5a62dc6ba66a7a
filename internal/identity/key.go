package identity

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
)

// key is a public key, and what it may verify.
type key struct {
	kind      kind
	public    any
	kid       string // "" fits any token
	algorithm string // "" is every one of the kind
}

// minRSA is the least size of an RSA key in bits (RFC 7518, section 3.3).
const minRSA = 2048

func newKey(public any) (key, error) {
	switch k := public.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < minRSA {
			return key{}, fmt.Errorf("an RSA key of %d bits is too short, %d are the least", k.N.BitLen(), minRSA)
		}
		return key{kind: rsaKey, public: k}, nil
	case *ecdsa.PublicKey:
		switch k.Curve {
		case elliptic.P256():
			return key{kind: p256Key, public: k}, nil
		case elliptic.P384():
			return key{kind: p384Key, public: k}, nil
		case elliptic.P521():
			return key{kind: p521Key, public: k}, nil
		}
		return key{}, errors.New("its curve is none of P-256, P-384 and P-521")
	case ed25519.PublicKey:
		return key{kind: ed25519Key, public: k}, nil
	}
	return key{}, fmt.Errorf("a %T cannot verify a token", public)
}

// ParsePublicKeys reads the public keys and certificates of a PEM file. A private key is an error, since it does not belong there.
func ParsePublicKeys(text []byte) ([]any, error) {
	var keys []any
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		public, err := parseBlock(block)
		if err != nil {
			return nil, err
		}
		if _, err := newKey(public); err != nil {
			return nil, err
		}
		keys = append(keys, public)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no PEM block, as in -----BEGIN PUBLIC KEY-----")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (any, error) {
	switch block.Type {
	case "PUBLIC KEY":
		return x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		return x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, err
		}
		return certificate.PublicKey, nil
	}
	return nil, fmt.Errorf("%q is not a public key", block.Type)
}

// verify tries the keys that fit the algorithm and the key identifier of the token.
func (p *parts) verify(keys []key) bool {
	a := p.header.algorithm
	for _, k := range keys {
		fits := k.kind == a.kind && (k.algorithm == "" || k.algorithm == a.name) &&
			(k.kid == "" || p.header.kid == "" || k.kid == p.header.kid)
		if fits && a.method.Verify(p.signing, p.signature, k.public) == nil {
			return true
		}
	}
	return false
}

func knows(keys []key, kid string) bool {
	for _, k := range keys {
		if k.kid == kid {
			return true
		}
	}
	return false
}
