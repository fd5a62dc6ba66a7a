package live

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestKeySet: tokens are verified with the keys of a URL, which change while headrace runs. A public key is no secret of HS256.
func TestKeySet(t *testing.T) {
	t.Parallel()
	encode := base64.RawURLEncoding.EncodeToString
	keys := make([]ed25519.PrivateKey, 3)
	for i := range keys {
		keys[i] = ed25519.NewKeyFromSeed([]byte(strings.Repeat(fmt.Sprint(i), 32)))
	}
	public := func(i int) ed25519.PublicKey { return keys[i].Public().(ed25519.PublicKey) }
	var served atomic.Int64
	set := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i := int(served.Load())
		_ = json.NewEncoder(w).Encode(claims{"keys": []claims{{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": fmt.Sprint(i), "x": encode(public(i))}}})
	}))
	t.Cleanup(set.Close)
	text := func(head claims) string {
		h, _ := json.Marshal(head)
		c, _ := json.Marshal(claims{"sub": "ann", "exp": time.Now().Add(time.Minute).Unix()})
		return encode(h) + "." + encode(c)
	}
	signed := func(i int) string {
		b := text(claims{"alg": "EdDSA", "kid": fmt.Sprint(i)})
		return b + "." + encode(ed25519.Sign(keys[i], []byte(b)))
	}
	confused := func(secret []byte) string {
		b := text(claims{"alg": "HS256", "kid": "0"})
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(b))
		return b + "." + encode(mac.Sum(nil))
	}
	s := start(t, "\n  token: {jwks_url: "+set.URL+"}\n  namespaces: {chat: {subscribe: \"true\"}}\n")
	enters := func(token string) bool {
		c := open(t, s, "/websocket")
		defer c.Close()
		c.say(`{"id":1,"connect":{"token":"` + token + `"}}`)
		a, err := c.next()
		return err == nil && a.Connect != nil
	}
	if !enters(signed(0)) || enters(signed(1)) {
		t.Error("the key of the set lets in, another one does not")
	}
	der, _ := x509.MarshalPKIXPublicKey(public(0))
	for _, secret := range [][]byte{public(0), der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), []byte(encode(public(0)))} {
		if enters(confused(secret)) {
			t.Error("a public key was taken as a secret")
		}
	}
	served.Store(2)
	eventually(t, "the next key", func() bool { return enters(signed(2)) })
}
