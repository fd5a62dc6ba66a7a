package auth

import (
	"encoding/base64"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
)

func FuzzBasic(f *testing.F) {
	f.Add([]byte(base64.StdEncoding.EncodeToString([]byte("ann:secret"))))
	f.Add([]byte("!"))
	f.Fuzz(func(t *testing.T, encoded []byte) {
		name, password, ok := parseBasic(encoded)
		if ok && base64.StdEncoding.EncodeToString([]byte(string(name)+":"+string(password))) != string(encoded) {
			t.Errorf("%q: %q %q", encoded, name, password)
		}
	})
}

// A credential is found the same way every time, and is part of what was sent.
func FuzzPlace(f *testing.F) {
	f.Add("Bearer abc", "a=b; token=c", "token=d")
	f.Add("bearer  x ", "token=", "")
	f.Fuzz(func(t *testing.T, authorization, cookie, query string) {
		ctx := &fasthttp.RequestCtx{}
		ctx.Request.Header.Set("Authorization", authorization)
		ctx.Request.Header.Set("Cookie", cookie)
		ctx.URI().SetQueryString(query)
		p := place{header: "Authorization", scheme: "Bearer", cookie: "token", query: "token"}
		first, err := p.find(&exchange.Request{RequestCtx: ctx})
		if err != nil {
			t.Fatal(err)
		}
		again, _ := p.find(&exchange.Request{RequestCtx: ctx})
		if string(first) != string(again) {
			t.Errorf("%q, then %q", first, again)
		}
	})
}

// Headers of the policy are known in every way of writing that an upstream may take for them.
func FuzzSame(f *testing.F) {
	f.Add([]byte("X_User"), "x-user")
	f.Fuzz(func(t *testing.T, name []byte, own string) {
		fold := func(b []byte) string {
			out := make([]byte, len(b))
			for i, c := range b {
				if 'A' <= c && c <= 'Z' {
					c += 'a' - 'A'
				}
				if c == '_' {
					c = '-'
				}
				out[i] = c
			}
			return string(out)
		}
		lower := true
		for _, c := range []byte(own) {
			lower = lower && (c < 'A' || c > 'Z')
		}
		if lower && same(name, own) != (fold(name) == fold([]byte(own))) {
			t.Errorf("%q %q", name, own)
		}
	})
}
