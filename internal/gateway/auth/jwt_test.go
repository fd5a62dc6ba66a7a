package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/auth"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
)

func sign(t testing.TB, claims map[string]any) string {
	t.Helper()
	token, err := identity.Sign([]byte(secret), claims)
	must(t, err)
	return token
}

func TestJWT(t *testing.T) {
	c := load(t, `{realm: shop, headers: {X-User: sub, X-Roles: realm.roles, X-Scope: scope, X-Space: "https://x.example/id"}, jwt: {secret: "`+secret+`", issuer: me, audience: shop,
		cookie: token, query: token, claims: {kind: user, "realm.roles": staff}, scopes: [read, write]}}`)
	at := serve(t, c, auth.Deps{})
	good := map[string]any{"iss": "me", "aud": []string{"x", "shop"}, "sub": "ann", "kind": "user", "scope": "read other", "scp": []string{"write"},
		"realm": map[string]any{"roles": []string{"boss", "staff"}}, "https://x.example/id": 7, "exp": time.Now().Add(time.Hour).Unix()}
	but := func(name string, value any) string {
		claims := map[string]any{}
		for n, v := range good {
			claims[n] = v
		}
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
		return sign(t, claims)
	}
	token := but("x", 1)
	for range 2 { // the second is cached
		e := get(t, at, "Authorization", "bearer "+token).echoed(t)
		if e.Method != "jwt" || e.Subject != "ann" || len(e.Scopes) != 3 || e.Headers["X-User"] != "ann" || e.Headers["X-Roles"] != "boss staff" ||
			e.Headers["X-Scope"] != "read other write" || e.Headers["X-Space"] != "7" {
			t.Error(e)
		}
	}
	for _, headers := range [][]string{{"Cookie", "token=" + token}, {"Cookie", "a=b; token=" + token + "; c=d"}} {
		get(t, at, headers...).echoed(t)
	}
	get(t, at+"/?token="+token).echoed(t)

	none := get(t, at)
	want(t, none, 401, "HR4040")
	if challenges(none) != `Bearer realm="shop"` {
		t.Error(challenges(none))
	}
	for _, wrong := range []struct{ token, code, challenge string }{
		{"x", "HR4041", `error="invalid_token"`},
		{token[:len(token)-2], "HR4041", `error="invalid_token"`},
		{but("iss", "you"), "HR4041", `error="invalid_token"`},
		{but("aud", "other"), "HR4041", `error="invalid_token"`},
		{but("exp", time.Now().Add(-time.Hour).Unix()), "HR4042", `error="invalid_token"`},
		{but("nbf", time.Now().Add(time.Hour).Unix()), "HR4041", `error="invalid_token"`},
		{but("kind", "robot"), "HR4043", `error="insufficient_scope"`},
		{but("kind", nil), "HR4043", `error="insufficient_scope"`},
		{but("realm", map[string]any{"roles": "boss"}), "HR4043", `error="insufficient_scope"`},
		{but("scp", nil), "HR4043", `error="insufficient_scope", scope="read write"`},
	} {
		for range 2 {
			got := get(t, at, "Authorization", "Bearer "+wrong.token)
			status := 401
			if wrong.code == "HR4043" {
				status = 403
			}
			want(t, got, status, wrong.code)
			if prefix := `Bearer realm="shop", ` + wrong.challenge; len(challenges(got)) < len(prefix) || challenges(got)[:len(prefix)] != prefix {
				t.Error(wrong.code, challenges(got))
			}
		}
	}
	want(t, get(t, at, "Authorization", "Bearer "+token, "Authorization", "Bearer "+token), 401, "HR4041")
}

// What a client sends under the names of the policy never reaches the upstream.
func TestSpoofedHeaders(t *testing.T) {
	at := serve(t, load(t, `{optional: true, headers: {X-User: sub, X-Role: role}, jwt: {secret: "`+secret+`"}}`), auth.Deps{})
	for _, token := range []string{"", "Bearer " + sign(t, map[string]any{"sub": "ann"})} {
		headers := []string{"X-User", "root", "x-role", "admin", "X_User", "root", "X_Role", "admin", "X-Other", "kept"}
		if token != "" {
			headers = append(headers, "Authorization", token)
		}
		e := get(t, at, headers...).echoed(t)
		user := ""
		if token != "" {
			user = "ann"
		}
		if e.Headers["X-User"] != user || e.Headers["X-Role"] != "" || e.Headers["X_user"] != "" || e.Headers["X_User"] != "" || e.Headers["X_role"] != "" || e.Headers["X-Other"] != "kept" {
			t.Error(e.Headers)
		}
	}
	want(t, get(t, at, "Authorization", "Bearer x"), 401, "HR4041")
}

// Nor does it where the policy is off, for the same upstream.
func TestSpoofedHeadersWithoutAuth(t *testing.T) {
	chain := exchange.NewChain(echo, auth.Without([]*config.Auth{{Headers: map[string]string{"X-User": "sub"}}, {Forward: &config.Forward{Copy: []string{"X-Role"}}}}))
	door := exchange.NewServer(exchange.Options{Plane: "edge", Listen: "127.0.0.1:0", Log: logger(t), Admit: chain.Admit, Serve: chain.Serve, Finish: chain.Finish})
	must(t, door.Start())
	t.Cleanup(func() { stop(t, door.Stop) })
	e := get(t, "http://"+door.Addr().String(), "X-User", "root", "x_role", "admin", "X-Other", "kept").echoed(t)
	if e.Headers["X-User"] != "" || e.Headers["X_role"] != "" || e.Headers["X-Other"] != "kept" {
		t.Error(e.Headers)
	}
}

// A claim that cannot stand in a header makes none.
func TestHeaderInjection(t *testing.T) {
	at := serve(t, load(t, `{headers: {X-User: sub}, jwt: {secret: "`+secret+`"}}`), auth.Deps{})
	if e := get(t, at, "Authorization", "Bearer "+sign(t, map[string]any{"sub": "ann\r\nX-Role: admin"})).echoed(t); e.Headers["X-User"] != "" || e.Headers["X-Role"] != "" {
		t.Error(e.Headers)
	}
}

func TestNamedHeader(t *testing.T) {
	at := serve(t, load(t, `{jwt: {secret: "`+secret+`", header: x-token}}`), auth.Deps{})
	token := sign(t, map[string]any{"sub": "ann"})
	get(t, at, "X-Token", token).echoed(t)
	get(t, at, "X-Token", "Bearer "+token).echoed(t)
	want(t, get(t, at, "Authorization", "Bearer "+token), 401, "HR4040")
}

// A key set that rotates is followed, and two policies with the same tokens share it, also after a reload.
func TestJWKS(t *testing.T) {
	var current atomic.Pointer[ecdsa.PrivateKey]
	var asked atomic.Int32
	rotate := func() {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(t, err)
		current.Store(key)
	}
	rotate()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: &current.Load().PublicKey, KeyID: "k", Use: "sig"}}})
	}))
	t.Cleanup(server.Close)
	c := load(t, `{jwt: {jwks_url: "`+server.URL+`"}}`)
	registry := auth.NewRegistry()
	token := func() string {
		made := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "ann"})
		made.Header["kid"] = "k"
		text, err := made.SignedString(current.Load())
		must(t, err)
		return text
	}
	at := serve(t, c, auth.Deps{Registry: registry})
	get(t, at, "Authorization", "Bearer "+token()).echoed(t)
	for range 3 {
		other := serve(t, load(t, `{jwt: {jwks_url: "`+server.URL+`"}}`), auth.Deps{Registry: registry})
		get(t, other, "Authorization", "Bearer "+token()).echoed(t)
	}
	if asked.Load() != 1 {
		t.Error("the key set was asked for", asked.Load(), "times")
	}
}

// Where the keys cannot be read it is not the token that is wrong.
func TestJWKSThatCannotBeRead(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	health := observe.NewHealth(logger(t))
	at := serve(t, load(t, `{jwt: {jwks_url: "`+server.URL+`/keys"}}`), auth.Deps{Health: health})
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"sub": "ann"}).SignedString(key)
	must(t, err)
	got := get(t, at, "Authorization", "Bearer "+token)
	if want(t, got, 503, "HR4049"); strings.Contains(got.body, server.URL) || challenges(got) != "" {
		t.Error(got)
	}
	want(t, get(t, at, "Authorization", "Bearer x"), 401, "HR4041")
	for deadline := time.Now().Add(30 * time.Second); ; runtime.Gosched() {
		if list := health.Report().Conditions; len(list) == 1 && list[0].Code == "key-set-unread" && list[0].Subject == server.URL+"/keys" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%+v", health.Report())
		}
	}
}

func TestKeys(t *testing.T) {
	store := openKeys(t)
	at := serve(t, load(t, `{headers: {X-Owner: sub, X-Plan: metadata.plan, X-Key: key}, key: {query: api_key, scopes: [read]}, jwt: {secret: "`+secret+`"}}`), auth.Deps{Keys: store, Route: "/orders"})
	key, text, err := store.Create(t.Context(), keys.Spec{Owner: "ann", Scopes: []string{"read"}, Metadata: map[string]string{"plan": "gold"}})
	must(t, err)
	for _, headers := range [][]string{{"X-API-Key", text}, {"Authorization", "Bearer " + text}} {
		e := get(t, at, headers...).echoed(t)
		if e.Method != "key" || e.Subject != "ann" || e.Key != key.ID || e.Headers["X-Plan"] != "gold" || e.Headers["X-Key"] != key.ID || e.Headers["X-Owner"] != "ann" {
			t.Error(e)
		}
	}
	get(t, at+"?api_key="+text).echoed(t)
	if e := get(t, at, "Authorization", "Bearer "+sign(t, map[string]any{"sub": "bob"})).echoed(t); e.Method != "jwt" {
		t.Error(e)
	}
	none := get(t, at)
	want(t, none, 401, "HR4040")
	if challenges(none) != `Bearer realm="headrace" | ApiKey realm="headrace"` {
		t.Error(challenges(none))
	}
	want(t, get(t, at, "X-API-Key", text[:20]), 401, "HR4044")
	want(t, get(t, at, "Authorization", "Bearer "+text[:20]), 401, "HR4044")
	want(t, get(t, at, "X-API-Key", text, "X-API-Key", text), 401, "HR4041")
	for code, spec := range map[string]keys.Spec{
		"HR4043": {Owner: "ann"},
		"HR4045": {Owner: "ann", Scopes: []string{"read"}, Routes: []string{"/reports*"}},
	} {
		_, text, err := store.Create(t.Context(), spec)
		must(t, err)
		want(t, get(t, at, "X-API-Key", text), 403, code)
	}
	limited, text2, err := store.Create(t.Context(), keys.Spec{Owner: "ann", Scopes: []string{"read"}, Routes: []string{"/ord*"}, Quota: rate(2, 24*time.Hour)})
	must(t, err)
	get(t, at, "X-API-Key", text2).echoed(t)
	get(t, at, "X-API-Key", text2).echoed(t)
	over := get(t, at, "X-API-Key", text2)
	want(t, over, 429, "HR4046")
	if over.header.Get("Retry-After") == "" || over.header.Get("Retry-After") == "1" {
		t.Error(over.header)
	}
	if _, u, _ := store.Get(limited.ID); u.Count != 2 || time.Since(u.Used) > time.Minute {
		t.Error(u)
	}
	must(t, store.Delete(t.Context(), key.ID))
	want(t, get(t, at, "X-API-Key", text), 401, "HR4044")
}

// Without another way for it, what stands behind Bearer must be a key.
func TestKeyOrNothing(t *testing.T) {
	at := serve(t, load(t, `{optional: true, key: {}}`), auth.Deps{Keys: openKeys(t)})
	get(t, at).echoed(t)
	want(t, get(t, at, "Authorization", "Bearer x"), 401, "HR4044")
}

func BenchmarkJWT(b *testing.B) {
	c := load(b, `{headers: {X-User: sub}, jwt: {secret: "`+secret+`", scopes: [read]}}`)
	p, err := auth.New(c, auth.Deps{Registry: auth.NewRegistry(), Log: logger(b)})
	must(b, err)
	benchmark(b, p, "Authorization", "Bearer "+sign(b, map[string]any{"sub": "ann", "scope": "read", "exp": time.Now().Add(time.Hour).Unix(), "iss": "https://login.example.com/", "aud": "shop"}))
}

func BenchmarkKey(b *testing.B) {
	store := openKeys(b)
	_, text, err := store.Create(b.Context(), keys.Spec{Owner: "ann"})
	must(b, err)
	p, err := auth.New(load(b, `{headers: {X-User: sub}, key: {}}`), auth.Deps{Registry: auth.NewRegistry(), Keys: store, Log: logger(b)})
	must(b, err)
	benchmark(b, p, "X-API-Key", text)
}

func benchmark(b *testing.B, p exchange.Policy, name, value string) {
	ctx := &fasthttp.RequestCtx{}
	r := &exchange.Request{RequestCtx: ctx}
	for _, h := range []string{"Accept", "User-Agent", "Host", "Accept-Encoding", "X-Request-Id"} {
		ctx.Request.Header.Set(h, "something")
	}
	ctx.Request.Header.Set(name, value)
	must(b, p.Admit(r)) // what is slow once is not what is measured
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Admit(r); err != nil {
			b.Fatal(string(ctx.Response.Body()))
		}
		ctx.Request.Header.Del("X-User") // as if it was the next request
	}
}

// BenchmarkHash is what a token costs at least.
func BenchmarkHash(b *testing.B) {
	token := []byte("Bearer " + sign(b, map[string]any{"sub": "ann", "scope": "read", "exp": time.Now().Add(time.Hour).Unix(), "iss": "https://login.example.com/", "aud": "shop"}))
	for b.Loop() {
		sha256.Sum256(token)
	}
}
