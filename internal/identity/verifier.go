// Package identity tells who a request is: it verifies JSON Web Tokens (RFC 7519) signed with HMAC, RSA, ECDSA or Ed25519, the keys
// being given or taken from a JSON Web Key Set.
package identity

import (
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"
	"time"
)

// Errors of Verify, wrapped with the reason. The reason is for logs; it never holds a part of the token.
var (
	ErrExpired = errors.New("token has expired")
	ErrInvalid = errors.New("token is not valid")
	ErrUnread  = errors.New("the key set that may verify the token has not been read yet")
)

// Options of a Verifier. At least one of Secret, PublicKeys and JWKS is needed.
type Options struct {
	Secret     []byte        // key of HS256, HS384 and HS512
	PublicKeys [][]byte      // PEM, one or more keys each: RSA of 2048 bits or more, P-256, P-384, P-521, Ed25519
	JWKS       string        // address of a key set; symmetric keys in it are ignored
	Issuer     string        // what the claim iss must be; "" asks for none
	Audience   string        // what the claim aud must be or hold; "" asks for none
	Leeway     time.Duration // tolerance for the clock of the issuer, for exp and nbf; default none

	JWKSRefresh time.Duration // age at which the key set is read again, in the background; default 15 min
	JWKSRetry   time.Duration // least time between two requests for the key set, whatever tokens ask for; default 10 s
	JWKSTimeout time.Duration // longest request for the key set, and longest wait of Verify for it; default 3 s

	// Told is called when the key set at an address has never been read, or was read too long ago (twice JWKSRefresh), with why; and with nil when it
	// is read, or not asked for any more. It must not use the Verifier. Nil is not called.
	Told func(address string, failure error) `json:"-"`

	CacheTokens int // verified tokens that are remembered, until they expire; default 4096, below 0 none
}

// Verifier verifies tokens. It is safe for concurrent use and holds nothing that must be closed: the key set is asked for no more when the Verifier is
// gone.
type Verifier struct {
	options Options
	macs    map[string]*mac // by algorithm
	given   []key
	remote  *keySet // nil without JWKS
	cache   *cache
	header  atomic.Pointer[header] // of the token verified last; most tokens of an issuer have the same
	now     func() time.Time
}

// New makes a Verifier. It fails for keys that cannot be used; a key set that cannot be reached is logged and asked for again later.
func New(o Options, log *slog.Logger) (*Verifier, error) {
	v := &Verifier{options: o.withDefaults(), macs: map[string]*mac{}, now: time.Now}
	if len(o.Secret) > 0 {
		if block, _ := pem.Decode(o.Secret); block != nil {
			return nil, errors.New("the secret is a PEM key: anybody who knows the public key could sign with it")
		}
		v.macs = newMACs(o.Secret)
	}
	for i, text := range o.PublicKeys {
		keys, err := ParsePublicKeys(text)
		if err != nil {
			return nil, fmt.Errorf("public key %d: %w", i+1, err)
		}
		for _, public := range keys {
			k, err := newKey(public)
			if err != nil {
				return nil, fmt.Errorf("public key %d: %w", i+1, err)
			}
			v.given = append(v.given, k)
		}
	}
	if len(v.macs) == 0 && len(v.given) == 0 && o.JWKS == "" {
		return nil, errors.New("there is no key to verify a token with")
	}
	v.cache = newCache(v.options.CacheTokens)
	if o.JWKS != "" {
		v.remote = newKeySet(v.options, log, v.cache.clear)
		runtime.AddCleanup(v, (*keySet).close, v.remote)
	}
	return v, nil
}

func (o Options) withDefaults() Options {
	for value, standard := range map[*time.Duration]time.Duration{
		&o.JWKSRefresh: 15 * time.Minute, &o.JWKSRetry: 10 * time.Second, &o.JWKSTimeout: 3 * time.Second,
	} {
		if *value <= 0 {
			*value = standard
		}
	}
	if o.CacheTokens == 0 {
		o.CacheTokens = 4096
	}
	return o
}

// Verify returns the claims of a token that is signed by a known key, in time, and of the issuer and audience asked for. The claims
// may be shared with other callers and must not be changed. Errors are ErrExpired, ErrInvalid and ErrUnread. Verify waits only where the
// token names a key that is not known yet, and never longer than JWKSTimeout.
func (v *Verifier) Verify(token string) (*Claims, error) {
	if v.remote != nil {
		v.remote.touch()
	}
	now := v.now()
	if v.cache != nil {
		if claims := v.cache.get(token); claims != nil {
			if claims.expired(now, v.options.Leeway) {
				return nil, ErrExpired
			}
			return claims, nil
		}
	}
	version := v.cache.version()
	p, err := v.split(token)
	if err != nil {
		return nil, err
	}
	if !v.signed(p) {
		if v.remote != nil && v.remote.unread() && p.header.algorithm.method != nil {
			return nil, ErrUnread
		}
		return nil, fmt.Errorf("%w: no known key has signed it", ErrInvalid)
	}
	v.header.Store(p.header)
	claims, err := parseClaims(p.payload, &v.options)
	if err != nil {
		return nil, err
	}
	if err := claims.inTime(now, v.options.Leeway); err != nil {
		return nil, err
	}
	v.cache.put(token, claims, version)
	return claims, nil
}

// signed tells whether a key that fits the algorithm of the token has signed it. The kind of the key decides which algorithms it
// is used with, so that a public key never becomes the secret of an HMAC.
func (v *Verifier) signed(p *parts) bool {
	if m := v.macs[p.header.algorithm.name]; m != nil {
		return m.verify(p.signing, p.signature)
	}
	if p.header.algorithm.method == nil {
		return false
	}
	if p.verify(v.given) {
		return true
	}
	if v.remote == nil {
		return false
	}
	set := v.remote.keys()
	if p.verify(set) {
		return true
	}
	if p.header.kid != "" && knows(set, p.header.kid) {
		return false
	}
	return v.remote.renew() && p.verify(v.remote.keys())
}
