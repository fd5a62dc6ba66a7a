package reply

import (
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

func request(uri string, params ...string) *exchange.Request {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI(uri)
	r := &exchange.Request{RequestCtx: ctx}
	for i, p := range params {
		r.Params[i] = []byte(p)
	}
	return r
}

func TestRedirect(t *testing.T) {
	for _, c := range []struct {
		to, uri string
		params  []string
		status  int
		want    string
	}{
		{"/new/{id}/{*}", "/old/7/a/b?x=1", []string{"7", "a/b"}, 302, "/new/7/a/b?x=1"},
		{"308 https://{id}.example.com/{*}?from=old", "/old/7/a?x=1", []string{"7", "a"}, 308, "https://7.example.com/a?from=old"},
		{"/{*}", "/old/7//evil.example", []string{"7", "/evil.example"}, 302, "/evil.example"},
		{"/{*}", "/", []string{"7", `\evil.example`}, 302, "/%5Cevil.example"},
		{"/x", "/?a=b%0d%0aSet-Cookie:c", nil, 302, "/x?a=b%0d%0aSet-Cookie:c"},
		{"/x/{id}", "/", []string{"a\r\nSet-Cookie: c"}, 302, "/x/a%0D%0ASet-Cookie:%20c"},
	} {
		h, err := NewRedirect(&config.Route{Match: "/old/{id}/*", Redirect: c.to})
		if err != nil {
			t.Fatal(c.to, err)
		}
		r := request(c.uri, c.params...)
		if err := h(r); err != nil || r.Response.StatusCode() != c.status || string(r.Response.Header.Peek("Location")) != c.want {
			t.Errorf("%s: %v %d %s", c.to, err, r.Response.StatusCode(), r.Response.Header.Peek("Location"))
		}
	}
	h, _ := NewRedirect(&config.Route{Match: "/old/{id}/*", Redirect: "https://{id}.example.com"})
	if err := h(request("/", "evil.com/")); problem.From(err).Code != "HR4001" {
		t.Error(err)
	}
	for _, bad := range []string{"", "200 /x", "x /y", "//evil.example", "https://{id}", "https://{*}.example.com", "/{none}", "javascript:alert(1)"} {
		if _, err := NewRedirect(&config.Route{Match: "/old/{id}/*", Redirect: bad}); problem.From(err).Code != "HR9003" {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestRespond(t *testing.T) {
	h, err := NewRespond(&config.Respond{Status: 418, Body: "tea", Type: "text/plain", Headers: map[string]string{"x-a": "b {path}", "Cache-Control": "no-store"}})
	if err != nil {
		t.Fatal(err)
	}
	r := request("/pot")
	if err := h(r); err != nil || r.Response.StatusCode() != 418 || string(r.Response.Body()) != "tea" || string(r.Response.Header.ContentType()) != "text/plain" || string(r.Response.Header.Peek("X-A")) != "b /pot" {
		t.Error(err, r.Response.String())
	}
	if _, err := NewRespond(&config.Respond{Status: 200, Headers: map[string]string{"Content-Length": "5"}}); problem.From(err).Code != "HR9003" {
		t.Error(err)
	}
}
