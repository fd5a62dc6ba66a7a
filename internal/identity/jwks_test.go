package identity

import (
	"crypto"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// keyServer serves key sets; answer may be changed at any time.
type keyServer struct {
	*httptest.Server
	requests atomic.Int64
	answer   atomic.Pointer[http.HandlerFunc]
}

func newKeyServer(t *testing.T, answer http.HandlerFunc) *keyServer {
	s := &keyServer{}
	s.answer.Store(&answer)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		(*s.answer.Load())(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *keyServer) serve(answer http.HandlerFunc) { s.answer.Store(&answer) }

func set(t *testing.T, list ...jose.JSONWebKey) http.HandlerFunc {
	t.Helper()
	body, err := json.Marshal(jose.JSONWebKeySet{Keys: list})
	if err != nil {
		t.Fatal(err)
	}
	return func(w http.ResponseWriter, _ *http.Request) { w.Write(body) }
}

func jwk(k crypto.Signer, kid string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: k.Public(), KeyID: kid, Use: "sig"}
}

func failing(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }

func remote(t *testing.T, s *keyServer, o Options) *Verifier {
	o.JWKS = s.URL
	return verifier(t, o)
}

func TestKeySetRotates(t *testing.T) {
	k := keys()
	s := newKeyServer(t, set(t, jwk(k.p256, "a")))
	v := remote(t, s, Options{JWKSRetry: time.Nanosecond})
	a := sign(t, jwt.SigningMethodES256, k.p256, "a", jwt.MapClaims{"sub": "1"})
	b := sign(t, jwt.SigningMethodRS256, k.rsa, "b", jwt.MapClaims{"sub": "2"})
	if _, err := v.Verify(a); err != nil {
		t.Fatal(err)
	}
	s.serve(set(t, jwk(k.p256, "a"), jwk(k.rsa, "b")))
	for _, token := range []string{b, a, sign(t, jwt.SigningMethodES256, k.p256, "", jwt.MapClaims{})} {
		if _, err := v.Verify(token); err != nil {
			t.Error(err)
		}
	}
	if _, err := v.Verify(sign(t, jwt.SigningMethodES256, k.p256, "b", jwt.MapClaims{})); !errors.Is(err, ErrInvalid) {
		t.Errorf("signed with another key than it names: %v", err)
	}
	s.serve(set(t, jwk(k.rsa, "b"))) // a is withdrawn
	if _, err := v.Verify(sign(t, jwt.SigningMethodEdDSA, k.ed25519, "c", jwt.MapClaims{})); !errors.Is(err, ErrInvalid) {
		t.Errorf("an unknown key: %v", err)
	}
	if _, err := v.Verify(a); !errors.Is(err, ErrInvalid) {
		t.Errorf("signed with a key that is withdrawn, and verified before: %v", err)
	}
}

func TestKeySetIsOld(t *testing.T) {
	k := keys()
	s := newKeyServer(t, set(t, jwk(k.p256, "a")))
	v := remote(t, s, Options{JWKSRetry: time.Nanosecond, JWKSRefresh: time.Nanosecond})
	token := sign(t, jwt.SigningMethodES256, k.p256, "a", jwt.MapClaims{})
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	s.serve(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"keys":[]}`)) })
	for deadline := time.Now().Add(10 * time.Second); ; {
		if _, err := v.Verify(token); errors.Is(err, ErrInvalid) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("a withdrawn key is still taken")
		}
	}
}

func TestKeysSurviveAnUnreachableServer(t *testing.T) {
	k := keys()
	s := newKeyServer(t, set(t, jwk(k.p256, "a")))
	v := remote(t, s, Options{JWKSRetry: time.Nanosecond, JWKSRefresh: time.Nanosecond, CacheTokens: -1, JWKSTimeout: time.Second})
	token := sign(t, jwt.SigningMethodES256, k.p256, "a", jwt.MapClaims{})
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
	for name, answer := range map[string]http.HandlerFunc{
		"fails":     failing,
		"no keys":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(`{"error":"x"}`)) },
		"no JSON":   func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("<html>")) },
		"too large": func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, maxKeySet+1)) },
		"breaks": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			w.Write([]byte("{"))
		},
	} {
		s.serve(answer)
		before := s.requests.Load()
		for s.requests.Load() < before+3 {
			if _, err := v.Verify(token); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	s.Close()
	for range 10 {
		if _, err := v.Verify(token); err != nil {
			t.Fatal(err)
		}
	}
}

func TestServerComesUpLater(t *testing.T) {
	k := keys()
	s := newKeyServer(t, failing)
	v := remote(t, s, Options{JWKSRetry: time.Nanosecond})
	token := sign(t, jwt.SigningMethodES256, k.p256, "a", jwt.MapClaims{})
	if _, err := v.Verify(token); err != ErrUnread {
		t.Fatal(err)
	}
	s.serve(set(t, jwk(k.p256, "a")))
	if _, err := v.Verify(token); err != nil {
		t.Fatal(err)
	}
}

// What is told of a set: that there is none, that there is one without anybody asking, that it is old, that nobody needs it any more.
func TestKeySetIsTold(t *testing.T) {
	k := keys()
	s := newKeyServer(t, failing)
	told := make(chan error, 100)
	o := Options{JWKSRetry: time.Nanosecond, Told: func(address string, failure error) {
		if address != s.URL {
			t.Error(address)
		}
		told <- failure
	}}
	becomes := func(bad bool) {
		t.Helper()
		for deadline := time.After(20 * time.Second); ; {
			select {
			case err := <-told:
				if (err != nil) == bad {
					return
				}
			case <-deadline:
				t.Fatal("never told")
			}
		}
	}
	v := remote(t, s, o)
	becomes(true)
	s.serve(set(t, jwk(k.p256, "a")))
	becomes(false)
	v.remote.close()
	becomes(false)
	if v.remote.ask() != nil {
		t.Error("it is asked for although nobody needs it")
	}
	o.JWKSRefresh = time.Nanosecond
	v = remote(t, s, o)
	becomes(false)
	s.serve(failing)
	token := sign(t, jwt.SigningMethodES256, k.p256, "a", jwt.MapClaims{})
	if _, err := v.Verify(token); err != nil {
		t.Error(err)
	}
	becomes(true)
	if _, err := v.Verify(token); err != nil {
		t.Error("the keys known are not taken:", err)
	}
	v.remote.close()
}

// A server that takes connections and never answers must not hold up anybody for long.
func TestServerThatHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	k := keys()
	const timeout = 200 * time.Millisecond
	v := verifier(t, Options{Secret: secret, JWKS: "http://" + listener.Addr().String(), JWKSTimeout: timeout})
	began := time.Now()
	if _, err := v.Verify(rawToken(`{"alg":"HS256"}`, `{}`)); err != nil {
		t.Error(err)
	}
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if _, err := v.Verify(sign(t, jwt.SigningMethodES256, k.p256, "x", jwt.MapClaims{})); err != ErrUnread {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if took := time.Since(began); took > 25*timeout { // one after another they would need 50
		t.Errorf("took %v", took)
	}
}

// Tokens with invented key identifiers must not make us a source of load for the key server.
func TestRequestsAreBounded(t *testing.T) {
	k := keys()
	s := newKeyServer(t, set(t, jwk(k.p256, "a")))
	v := remote(t, s, Options{JWKSRetry: time.Hour})
	if _, err := v.Verify(sign(t, jwt.SigningMethodES256, k.p256, "a", jwt.MapClaims{})); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := v.Verify(sign(t, jwt.SigningMethodES256, k.p256, "unknown", jwt.MapClaims{})); !errors.Is(err, ErrInvalid) {
			t.Fatal(err)
		}
	}
	if n := s.requests.Load(); n != 1 {
		t.Errorf("%d requests", n)
	}
}

// What a set holds beside public keys for signatures is ignored.
func TestKeysOfASetThatAreIgnored(t *testing.T) {
	k := keys()
	encryption := jwk(k.p384, "enc")
	encryption.Use = "enc"
	bound := jwk(k.rsa, "bound")
	bound.Algorithm = "PS256"
	s := newKeyServer(t, set(t,
		jose.JSONWebKey{Key: secret, KeyID: "oct"}, jose.JSONWebKey{Key: k.p521, KeyID: "private"}, encryption, bound))
	v := remote(t, s, Options{JWKSRetry: time.Hour})
	for name, c := range map[string]struct {
		token string
		valid bool
	}{
		"symmetric":         {sign(t, jwt.SigningMethodHS256, secret, "oct", jwt.MapClaims{}), false},
		"private":           {sign(t, jwt.SigningMethodES512, k.p521, "private", jwt.MapClaims{}), false},
		"encryption":        {sign(t, jwt.SigningMethodES384, k.p384, "enc", jwt.MapClaims{}), false},
		"other algorithm":   {sign(t, jwt.SigningMethodRS256, k.rsa, "bound", jwt.MapClaims{}), false},
		"algorithm that is": {sign(t, jwt.SigningMethodPS256, k.rsa, "bound", jwt.MapClaims{}), true},
	} {
		if _, err := v.Verify(c.token); (err == nil) != c.valid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestLogHidesThePassword(t *testing.T) {
	if got := shown("https://user:s3cret@host/keys"); strings.Contains(got, "s3cret") {
		t.Error(got)
	}
}
