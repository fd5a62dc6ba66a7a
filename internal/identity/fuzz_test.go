package identity

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// FuzzVerify: no text is a token but one that the published library verifies too.
func FuzzVerify(f *testing.F) {
	f.Add(rawToken(`{"alg":"HS256"}`, `{"sub":"a"}`))
	f.Add(rawToken(`{"alg":"HS256","kid":"a\"b"}`, `{"sub":"\u0041","exp":1e10,"x":{"y":["}"]}}`))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("..")
	v := verifier(f, Options{Secret: secret, CacheTokens: -1})
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := v.Verify(token)
		if (err == nil) == (claims == nil) || err != nil && !errors.Is(err, ErrInvalid) && !errors.Is(err, ErrExpired) {
			t.Fatalf("%v, %v", claims, err)
		}
		if err != nil {
			return
		}
		if _, err := jwt.Parse(token, func(*jwt.Token) (any, error) { return secret, nil }, jwt.WithValidMethods([]string{"HS256", "HS384", "HS512"})); err != nil {
			t.Fatalf("the published library refuses it: %v", err)
		}
	})
}

// FuzzClaims: signed claims of any form are read as encoding/json reads them, or refused.
func FuzzClaims(f *testing.F) {
	for _, text := range []string{`{}`, `{"sub":"a","exp":1e10}`, ` { "a" : [ {"b":"]"} ] , "sub" : "\ud800" } `, `{"sub":"a","sub":"b"}`, "{\"sub\":\"\xff\"}", `{"s\u0075b":"x"}`, `[]`, `1`} {
		f.Add(`{"alg":"HS256"}`, text)
	}
	v := verifier(f, Options{Secret: secret, CacheTokens: -1})
	f.Fuzz(func(t *testing.T, head, body string) {
		claims, err := v.Verify(rawToken(head, body))
		if err != nil {
			return
		}
		var all map[string]any
		if err := json.Unmarshal([]byte(body), &all); err != nil {
			t.Fatal(err)
		}
		if sub, _ := all["sub"].(string); sub != claims.Subject {
			t.Fatalf("subject %q, want %q", claims.Subject, sub)
		}
		if _, ok := all["exp"]; ok == claims.Expires.IsZero() {
			t.Fatalf("exp of %s: %v", body, claims.Expires)
		}
	})
}

// FuzzMembers: a JSON object has the members that encoding/json finds.
func FuzzMembers(f *testing.F) {
	for _, text := range []string{`{}`, `{"a":1,"b":"x\"y","c":{"d":[1,2,"}"]},"e":null}`, "{\"a\"\n:\ttrue }", `{"a":1,"a":2}`, `{"":-1.5e3}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		got := map[string]any{}
		err := members(object, func(name string, value []byte) error {
			var v any
			if err := json.Unmarshal(value, &v); err != nil {
				t.Fatalf("%q: %v", value, err)
			}
			got[name] = v
			return nil
		})
		if err != nil {
			return
		}
		var want map[string]any
		if err := json.Unmarshal(object, &want); err != nil || !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %v, want %v, %v", object, got, want, err)
		}
	})
}

// FuzzKeySet: any answer of a key server gives keys or an error.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}`))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"},{"kty":"oct","k":"AA"},1,null]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeySet(body)
		for _, k := range keys {
			if k.kind == hmacKey || k.public == nil || err != nil {
				t.Fatalf("%+v, %v", k, err)
			}
		}
	})
}
