package live

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/observe"
)

// Where the keys cannot be read a client is not told that its token is wrong, after which it would not come back.
func TestKeySetThatCannotBeRead(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	var health *observe.Health
	r := newRig(t, func(c *config.Live) { c.Token.JWKSURL = server.URL }, func(d *Deps) {
		d.Health = observe.NewHealth(d.Log)
		health = d.Health
	})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "42"}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	p := r.peer("/websocket")
	p.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, text))
	if reply, err := p.next(); err != nil || code(reply) != 100 || !reply.Error.Temporary {
		t.Error(reply, err)
	}
	eventually(t, "the condition", func() bool {
		list := health.Report().Conditions
		return len(list) == 1 && list[0].Code == "key-set-unread" && list[0].Subject == server.URL
	})
	p = r.peer("/websocket")
	p.send(fmt.Sprintf(`{"id":1,"connect":{"token":%q}}`, token(t, map[string]any{"sub": "42"}))) // of the secret
	if reply, err := p.next(); err != nil || code(reply) != 0 {
		t.Error(reply, err)
	}
}
