package auth

import (
	"encoding/base64"
	"net/url"
	"strings"
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

// A path to go to after the login never leads a browser to another host.
func FuzzLocal(f *testing.F) {
	for _, seed := range []string{"/a?b=c#d", "//evil.com", "/\\evil.com", "/\t/evil.com", "https://evil.com", "/%2f/evil.com", "/..//evil.com", "/a/..//evil.com", "/?u=//x"} {
		f.Add(seed)
	}
	base, err := url.Parse("https://app.example.com/x/y")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := local(text)
		// Browsers remove tabs and line breaks, and take a backslash for a slash.
		seen := strings.NewReplacer("\t", "", "\r", "", "\n", "", "\\", "/").Replace(got)
		to, err := base.Parse(seen)
		if err != nil || to.Host != base.Host || to.Scheme != base.Scheme || to.User != nil || strings.HasPrefix(strings.TrimSpace(seen), "//") {
			t.Errorf("%q leads to %q", text, got)
		}
	})
}

// Only what was sealed opens, and for its purpose only; a cookie in parts is read as it was written.
func FuzzCookie(f *testing.F) {
	s, err := newSealer(make([]byte, 32))
	if err != nil {
		f.Fatal(err)
	}
	good, err := s.seal(&session{Subject: "ann"}, "about")
	if err != nil {
		f.Fatal(err)
	}
	f.Add("1."+good, "a.1")
	f.Add("4.x", "")
	f.Add("2."+good[:10], good[10:])
	f.Fuzz(func(t *testing.T, first, second string) {
		ctx := &fasthttp.RequestCtx{}
		ctx.Request.Header.SetCookie("s", first)
		ctx.Request.Header.SetCookie("s.1", second)
		j := &jar{name: "s"}
		text := j.read(&exchange.Request{RequestCtx: ctx})
		var into session
		if s.open(text, "about", &into) && into.Subject != "ann" {
			t.Errorf("%q opens as that of %q", text, into.Subject)
		}
		if s.open(text, "other", &into) {
			t.Errorf("%q opens for another purpose", text)
		}
	})
}
