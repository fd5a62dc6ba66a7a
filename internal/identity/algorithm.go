package identity

import (
	"crypto"
	"crypto/hmac"
	_ "crypto/sha256" // of the algorithms
	_ "crypto/sha512" // of the algorithms
	"hash"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// algorithm is one value of the header alg. That none is not among them is why it is refused.
type algorithm struct {
	name   string
	kind   kind
	method jwt.SigningMethod // nil for HMAC, which mac verifies
}

// kind is what a key must be for an algorithm.
type kind int

const (
	hmacKey kind = iota
	rsaKey
	p256Key
	p384Key
	p521Key
	ed25519Key
)

var algorithms = map[string]*algorithm{
	"HS256": {"HS256", hmacKey, nil},
	"HS384": {"HS384", hmacKey, nil},
	"HS512": {"HS512", hmacKey, nil},
	"RS256": {"RS256", rsaKey, jwt.SigningMethodRS256},
	"RS384": {"RS384", rsaKey, jwt.SigningMethodRS384},
	"RS512": {"RS512", rsaKey, jwt.SigningMethodRS512},
	"PS256": {"PS256", rsaKey, jwt.SigningMethodPS256},
	"PS384": {"PS384", rsaKey, jwt.SigningMethodPS384},
	"PS512": {"PS512", rsaKey, jwt.SigningMethodPS512},
	"ES256": {"ES256", p256Key, jwt.SigningMethodES256},
	"ES384": {"ES384", p384Key, jwt.SigningMethodES384},
	"ES512": {"ES512", p521Key, jwt.SigningMethodES512},
	"EdDSA": {"EdDSA", ed25519Key, jwt.SigningMethodEdDSA},
}

// MinSecret is the least length of a secret that tokens are signed with, in bytes: as long as the hash of HS256 (RFC 7518, 3.2). Who has one token can
// try all shorter ones without asking anybody.
const MinSecret = 32

// mac verifies one HMAC algorithm. The state behind the secret is computed once and lent to a verification, which saves half of its time.
type mac struct{ states sync.Pool }

type macState struct {
	hash hash.Hash
	in   []byte
	sum  []byte
}

func newMACs(secret []byte) map[string]*mac {
	out := map[string]*mac{}
	for name, h := range map[string]crypto.Hash{"HS256": crypto.SHA256, "HS384": crypto.SHA384, "HS512": crypto.SHA512} {
		out[name] = &mac{sync.Pool{New: func() any { return &macState{hash: hmac.New(h.New, secret)} }}}
	}
	return out
}

func (m *mac) verify(signing string, signature []byte) bool {
	s := m.states.Get().(*macState)
	defer m.states.Put(s)
	s.hash.Reset()
	s.in = append(s.in[:0], signing...)
	s.hash.Write(s.in)
	s.sum = s.hash.Sum(s.sum[:0])
	return hmac.Equal(s.sum, signature)
}
