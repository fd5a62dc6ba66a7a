package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

var secret = []byte("a secret of the tests, 32 bytes!")

func public(t testing.TB, k any) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

func verifier(t testing.TB, o Options) *Verifier {
	t.Helper()
	v, err := New(o, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// sign uses the published library, so that what it makes is what others make.
func sign(t testing.TB, method jwt.SigningMethod, k any, kid string, claims jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(k)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var keys = sync.OnceValue(func() (k struct {
	rsa              *rsa.PrivateKey
	p256, p384, p521 *ecdsa.PrivateKey
	ed25519          ed25519.PrivateKey
}) {
	k.rsa, _ = rsa.GenerateKey(rand.Reader, 2048)
	k.p256, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	k.p384, _ = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	k.p521, _ = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	_, k.ed25519, _ = ed25519.GenerateKey(rand.Reader)
	return k
})

func TestAlgorithms(t *testing.T) {
	k := keys()
	for _, c := range []struct {
		method jwt.SigningMethod
		key    any
	}{
		{jwt.SigningMethodHS256, secret}, {jwt.SigningMethodHS384, secret}, {jwt.SigningMethodHS512, secret},
		{jwt.SigningMethodRS256, k.rsa}, {jwt.SigningMethodRS384, k.rsa}, {jwt.SigningMethodRS512, k.rsa},
		{jwt.SigningMethodPS256, k.rsa}, {jwt.SigningMethodPS384, k.rsa}, {jwt.SigningMethodPS512, k.rsa},
		{jwt.SigningMethodES256, k.p256}, {jwt.SigningMethodES384, k.p384}, {jwt.SigningMethodES512, k.p521},
		{jwt.SigningMethodEdDSA, k.ed25519},
	} {
		t.Run(c.method.Alg(), func(t *testing.T) {
			o := Options{Secret: secret}
			if signer, ok := c.key.(crypto.Signer); ok {
				o = Options{PublicKeys: [][]byte{public(t, signer.Public())}}
			}
			v := verifier(t, o)
			token := sign(t, c.method, c.key, "", jwt.MapClaims{"sub": "42", "exp": time.Now().Add(time.Hour).Unix(), "info": map[string]any{"name": "Ada"}})
			for range 2 { // the second is from the cache
				claims, err := v.Verify(token)
				if err != nil || claims.Subject != "42" || claims.Expires.IsZero() {
					t.Fatalf("got %+v, %v", claims, err)
				}
				var all struct{ Info struct{ Name string } }
				if err := claims.Decode(&all); err != nil || all.Info.Name != "Ada" {
					t.Fatalf("got %+v, %v", all, err)
				}
			}
			step := 7 // the last character is among those that are changed
			if c.method == jwt.SigningMethodHS256 {
				step = 1
			}
			for i := len(token) - 1; i >= 0; i -= step {
				if token[i] == '.' {
					continue
				}
				forged := []byte(token)
				if forged[i] = 'A'; token[i] == 'A' {
					forged[i] = 'B'
				}
				if claims, err := v.Verify(string(forged)); !errors.Is(err, ErrInvalid) || claims != nil {
					t.Fatalf("changed at %d of %s: %v", i, token, err)
				}
			}
		})
	}
}

func TestClaims(t *testing.T) {
	v := verifier(t, Options{Secret: secret, Issuer: "issuer", Audience: "chat", Leeway: time.Second})
	now := time.Unix(2_000_000_000, 0)
	v.now = func() time.Time { return now }
	for claims, want := range map[string]error{
		`{"iss":"issuer","aud":"chat"}`:                                 nil,
		`{"iss":"issuer","aud":["x","chat"],"sub":"","iat":1,"jti":""}`: nil,
		` { "iss" : "issuer" , "aud" : [ ] , "aud2" : "chat" } `:        ErrInvalid,
		`{"aud":"chat"}`:                                         ErrInvalid,
		`{"iss":"other","aud":"chat"}`:                           ErrInvalid,
		`{"iss":["issuer"],"aud":"chat"}`:                        ErrInvalid,
		`{"iss":null,"aud":"chat"}`:                              ErrInvalid,
		`{"iss":"issuer"}`:                                       ErrInvalid,
		`{"iss":"issuer","aud":"chat2"}`:                         ErrInvalid,
		`{"iss":"issuer","aud":["x",1,"chat"]}`:                  ErrInvalid,
		`{"iss":"issuer","aud":{"chat":"chat"}}`:                 ErrInvalid,
		`{"iss":"issuer","aud":"chat","exp":2000000000}`:         nil, // within the leeway
		`{"iss":"issuer","aud":"chat","exp":1999999999}`:         ErrExpired,
		`{"iss":"issuer","aud":"chat","exp":1999999999.5}`:       nil,
		`{"iss":"issuer","aud":"chat","exp":2e9}`:                nil,
		`{"iss":"issuer","aud":"chat","exp":0}`:                  ErrExpired,
		`{"iss":"issuer","aud":"chat","exp":-1}`:                 ErrInvalid,
		`{"iss":"issuer","aud":"chat","exp":"2100000000"}`:       ErrInvalid,
		`{"iss":"issuer","aud":"chat","exp":null}`:               ErrInvalid,
		`{"iss":"issuer","aud":"chat","exp":2100000000000}`:      ErrInvalid, // milliseconds
		`{"iss":"issuer","aud":"chat","exp":1e300}`:              ErrInvalid,
		`{"iss":"issuer","aud":"chat","nbf":2000000001}`:         nil,
		`{"iss":"issuer","aud":"chat","nbf":2000000002}`:         ErrInvalid,
		`{"iss":"issuer","aud":"chat","sub":5}`:                  ErrInvalid,
		`{"iss":"issuer","aud":"chat","sub":"a","sub":"b"}`:      ErrInvalid,
		`{"iss":"issuer","aud":"chat","s\u0075b":"a","sub":"b"}`: ErrInvalid,
		`{"iss":"issuer","aud":"chat","exp":2100000000,"EXP":1}`: nil, // another claim
		`{"iss":"issuer","aud":"chat","sub":"a"} {}`:             ErrInvalid,
		`{"iss":"issuer","aud":"chat","sub":"a"`:                 ErrInvalid,
		`["iss"]`:                                                ErrInvalid,
		`"issuer"`:                                               ErrInvalid,
		`null`:                                                   ErrInvalid,
		``:                                                       ErrInvalid,
	} {
		got, err := v.Verify(rawToken(`{"alg":"HS256"}`, claims))
		if !errors.Is(err, want) || (err == nil) != (got != nil) {
			t.Errorf("%s: got %v, want %v", claims, err, want)
		}
	}
}

// rawToken signs any texts with HS256.
func rawToken(header, claims string) string {
	signing := encoding.EncodeToString([]byte(header)) + "." + encoding.EncodeToString([]byte(claims))
	signature, _ := jwt.SigningMethodHS256.Sign(signing, secret)
	return signing + "." + encoding.EncodeToString(signature)
}

func TestHeaders(t *testing.T) {
	v := verifier(t, Options{Secret: secret})
	good := rawToken(`{"alg":"HS256"}`, `{}`)
	for token, valid := range map[string]bool{
		good: true,
		rawToken(`{"typ":"JWT","alg":"HS256","kid":"any","x":[{"alg":"none"}]}`, `{}`): true,
		rawToken(`{"alg":"hs256"}`, `{}`):                                              false,
		rawToken(`{"ALG":"HS256"}`, `{}`):                                              false,
		rawToken(`{"alg":"HS256","alg":"none"}`, `{}`):                                 false,
		rawToken(`{"alg":"HS256","crit":["exp"]}`, `{}`):                               false,
		rawToken(`{"alg":"HS256","kid":1}`, `{}`):                                      false,
		rawToken(`{"alg":["HS256"]}`, `{}`):                                            false,
		rawToken(`{"alg":null}`, `{}`):                                                 false,
		rawToken(`{}`, `{}`):                                                           false,
		rawToken(`{"alg":"HS512"}`, `{}`):                                              false,
		rawToken(`{"alg":"none"}`, `{}`):                                               false,
		"":                                                                             false,
		"..":                                                                           false,
		"a.b":                                                                          false,
		good + ".":                                                                     false,
		"." + good:                                                                     false,
		good + "=":                                                                     false,
		good + "\n":                                                                    false,
		strings.Replace(good, ".", "\r.", 1):                                           false,
		good[:strings.LastIndexByte(good, '.')+1]:                                      false,
		"Bearer " + good:                                                               false,
		rawToken(`{"alg":"HS256"}`, `{"x":"`+strings.Repeat("y", maxToken)+`"}`): false,
	} {
		if _, err := v.Verify(token); (err == nil) != valid || err != nil && !errors.Is(err, ErrInvalid) {
			t.Errorf("%.80q: %v", token, err)
		}
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", ""} {
		head, _ := json.Marshal(map[string]string{"alg": alg})
		unsigned := encoding.EncodeToString(head) + "." + encoding.EncodeToString([]byte(`{"sub":"admin"}`)) + "."
		for _, token := range []string{unsigned, unsigned + "AA"} {
			if _, err := v.Verify(token); !errors.Is(err, ErrInvalid) {
				t.Errorf("alg %q: %v", alg, err)
			}
		}
	}
}

// A public key must never be taken as the secret of an HMAC, in whatever form an attacker writes it.
func TestKeyConfusion(t *testing.T) {
	k := keys()
	text := public(t, k.rsa.Public())
	der, _ := x509.MarshalPKIXPublicKey(k.rsa.Public())
	claims := jwt.MapClaims{"sub": "admin"}
	for name, o := range map[string]Options{
		"public key alone": {PublicKeys: [][]byte{text}}, "beside a secret": {PublicKeys: [][]byte{text}, Secret: secret},
	} {
		v := verifier(t, o)
		for _, guess := range [][]byte{text, []byte(strings.TrimSpace(string(text))), der, k.rsa.N.Bytes(), {}} {
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
				if _, err := v.Verify(sign(t, method, guess, "", claims)); !errors.Is(err, ErrInvalid) {
					t.Errorf("%s, %s: %v", name, method.Alg(), err)
				}
			}
		}
		if _, err := v.Verify(sign(t, jwt.SigningMethodES256, k.p256, "", claims)); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: signed with a key of another kind: %v", name, err)
		}
	}
	if _, err := New(Options{Secret: text}, slog.Default()); err == nil {
		t.Error("a public key was taken as the secret")
	}
}

func TestKeysThatAreRefused(t *testing.T) {
	short, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p224, _ := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	private, _ := x509.MarshalPKCS8PrivateKey(keys().p256)
	for name, text := range map[string][]byte{
		"short RSA": public(t, short.Public()), "P-224": public(t, p224.Public()), "text": []byte("no PEM"), "empty": nil,
		"private":   pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		"malformed": pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte{1, 2, 3}}),
	} {
		if _, err := New(Options{PublicKeys: [][]byte{text}}, slog.Default()); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if _, err := New(Options{}, slog.Default()); err == nil {
		t.Error("no key at all was taken")
	}
}

func TestSeveralKeysInOneFile(t *testing.T) {
	k := keys()
	v := verifier(t, Options{PublicKeys: [][]byte{append(public(t, k.p256.Public()), public(t, k.ed25519.Public())...)}})
	for _, token := range []string{
		sign(t, jwt.SigningMethodES256, k.p256, "", jwt.MapClaims{}), sign(t, jwt.SigningMethodEdDSA, k.ed25519, "any", jwt.MapClaims{}),
	} {
		if _, err := v.Verify(token); err != nil {
			t.Error(err)
		}
	}
}

func TestCache(t *testing.T) {
	v := verifier(t, Options{Secret: secret, CacheTokens: 4})
	now := time.Unix(1_000, 0)
	v.now = func() time.Time { return now }
	token := func(exp int) string {
		text, err := Sign(secret, map[string]any{"exp": exp})
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	first, err := v.Verify(token(1_010))
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := v.Verify(token(1_010)); again != first {
		t.Error("the second verification is not from the cache")
	}
	now = time.Unix(1_010, 0)
	if _, err := v.Verify(token(1_010)); !errors.Is(err, ErrExpired) {
		t.Errorf("from the cache after its end: %v", err)
	}
	for i := range 1_000 {
		if _, err := v.Verify(token(2_000 + i)); err != nil {
			t.Fatal(err)
		}
		if n := len(v.cache.young) + len(v.cache.old); n > 4 {
			t.Fatalf("%d tokens are remembered", n)
		}
	}
	none := verifier(t, Options{Secret: secret, CacheTokens: -1})
	for range 2 {
		if _, err := none.Verify(rawToken(`{"alg":"HS256"}`, `{}`)); err != nil {
			t.Error(err)
		}
	}
}

func TestSign(t *testing.T) {
	text, err := Sign(secret, map[string]any{"sub": "42"})
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return secret, nil }, jwt.WithValidMethods([]string{"HS256"}))
	if err != nil || !parsed.Valid {
		t.Errorf("the published library: %v", err)
	}
	for name, bad := range map[string]any{"list": []int{1}, "channel": make(chan int), "nil": nil} {
		if _, err := Sign(secret, bad); err == nil {
			t.Errorf("%s was signed", name)
		}
	}
	if _, err := Sign(nil, map[string]any{}); err == nil {
		t.Error("signed without a secret")
	}
}

func BenchmarkVerify(b *testing.B) {
	claims := map[string]any{"sub": "user-123456", "exp": time.Now().Add(time.Hour).Unix(), "iat": time.Now().Unix(), "info": map[string]any{"name": "Ada Lovelace", "role": "member"}}
	text, _ := Sign(secret, claims)
	asymmetric := map[string]string{
		"fresh RS256": sign(b, jwt.SigningMethodRS256, keys().rsa, "", claims), "fresh ES256": sign(b, jwt.SigningMethodES256, keys().p256, "", claims),
		"fresh EdDSA": sign(b, jwt.SigningMethodEdDSA, keys().ed25519, "", claims),
	}
	b.Run("fresh HS256", func(b *testing.B) {
		v := verifier(b, Options{Secret: secret, CacheTokens: -1})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fresh HS256 into the cache", func(b *testing.B) {
		v := verifier(b, Options{Secret: secret})
		b.ReportAllocs()
		for b.Loop() {
			v.cache.young = map[string]*Claims{}
			if _, err := v.Verify(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cached", func(b *testing.B) {
		v := verifier(b, Options{Secret: secret})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := v.Verify(text); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("golang-jwt HS256", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := jwt.Parse(text, func(*jwt.Token) (any, error) { return secret, nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
	v := verifier(b, Options{CacheTokens: -1, PublicKeys: [][]byte{public(b, keys().rsa.Public()), public(b, keys().p256.Public()), public(b, keys().ed25519.Public())}})
	for name, text := range asymmetric {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Verify(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
