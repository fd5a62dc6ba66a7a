package template

import (
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/identity"
)

func request(params ...string) *exchange.Request {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI("/a/b")
	ctx.Request.Header.SetHost("example.com")
	r := &exchange.Request{RequestCtx: ctx, Identity: &identity.Identity{Subject: "ann", Claims: []byte(`{"org":"a\r\nX: 1"}`)}}
	for i, p := range params {
		r.Params[i] = []byte(p)
	}
	return r
}

func TestTemplates(t *testing.T) {
	r := request("x/../y", "é?b", "rest/of it")
	for _, c := range []struct {
		text string
		make func(string) (*Template, error)
		want string
	}{
		{"/new/{b}/{*}", path_, "/new/%C3%A9%3Fb/rest/of%20it"},
		{"/n?q={b}&x=1", path_, "/n?q=%C3%A9%3Fb&x=1"},
		{"/n/{a}", path_, "false"},
		{"https://x.example.com/{*}?a=/{*}", address, "https://x.example.com/rest/of%20it?a=/rest%2Fof%20it"},
		{"https://{b}.example.com/", address, "false"},
		{"{subject} {claim.org} {claim.none}{host} {method} {path} {b}", value, "ann a  X: 1 example.com GET /a/b é?b"},
	} {
		made, err := c.make(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got, ok := made.Append(nil, r)
		if !ok {
			got = []byte("false")
		}
		if string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
	for _, bad := range []string{"https://{b}", "https://{b}/", "https://a@{b}.com", "//evil.example", "{b}", "/{c}", "/{b", "https://{*}.example.com", "javascript:alert(1)", "/a b", "/a\r\n"} {
		if _, err := address(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

const pattern = "/{a}/{b}/*"

func path_(text string) (*Template, error)   { return NewPath(text, pattern) }
func address(text string) (*Template, error) { return NewAddress(text, pattern) }
func value(text string) (*Template, error)   { return NewValue(text, pattern, Value) }

// FuzzTemplate puts any values into any template: what comes out is one line, and leads nowhere but where the template does.
func FuzzTemplate(f *testing.F) {
	f.Add("/x/{a}/{*}", "..", "/evil", "a\r\nb")
	f.Add("https://{b}.example.com/{*}?q={a}", "&x=1", "evil.com/", "//x")
	f.Add("{claim.org}{path}", "", "", "")
	f.Fuzz(func(t *testing.T, text, a, b, rest string) {
		r := request(a, b, rest)
		if made, err := NewValue(text, pattern, Value); err == nil {
			if got, ok := made.Append(nil, r); !ok || strings.ContainsAny(string(got), "\r\n\x00") {
				t.Fatalf("%q: %q", text, got)
			}
		}
		made, err := NewAddress(text, pattern)
		if err != nil {
			return
		}
		got, ok := made.Append(nil, r)
		if !ok {
			return
		}
		if strings.ContainsAny(string(got), "\r\n\x00 ") {
			t.Fatalf("%q: %q", text, got)
		}
		if strings.HasPrefix(text, "/") {
			if path, _, _ := strings.Cut(string(got), "?"); strings.HasPrefix(text, "/x/{a}/{*}") && (strings.Contains(path, "/../") || strings.HasSuffix(path, "/..")) {
				t.Fatalf("%q: %q", text, got)
			}
			if strings.HasPrefix(string(got), "//") || strings.HasPrefix(string(got), `/\`) {
				t.Fatalf("%q: %q leads to another host", text, got)
			}
		} else if u, err := url.Parse(string(got)); err == nil && strings.Contains(text, "}.example.com/") && !strings.HasSuffix(u.Host, ".example.com") {
			t.Fatalf("%q: %q", text, got)
		}
	})
}
