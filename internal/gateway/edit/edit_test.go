package edit

import (
	"net/url"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

func request(uri string) *exchange.Request {
	ctx := &fasthttp.RequestCtx{}
	ctx.Request.SetRequestURI(uri)
	ctx.Request.Header.SetHost("example.com")
	r := &exchange.Request{RequestCtx: ctx}
	r.Params[0] = []byte("v&1")
	return r
}

func TestQuery(t *testing.T) {
	q, err := NewQuery(map[string]string{"a b": "{x} 1", "gone": "", "host": "{host}"}, "/{x}")
	if err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]string{
		"":                             "a%20b=v%261+1&host=example.com",
		"x=1&gone=2&y=%20&&go%6Ee&z":   "x=1&y=%20&z&a%20b=v%261+1&host=example.com",
		"a+b=old&a%20b=older&a=1&%zz=": "a=1&%zz=&a%20b=v%261+1&host=example.com",
	} {
		if got := string(q.Append(nil, []byte(query), request("/"))); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}

func TestResponse(t *testing.T) {
	p, err := Response(&config.Edit{Response: map[string]string{"server": "", "x-path": "{path}", "X-Who": "{subject}"}}, "/")
	if err != nil {
		t.Fatal(err)
	}
	r := request("/a%0d%0aX-Evil:1")
	r.Response.Header.Set("Server", "x")
	r.Response.Header.Set("X-Who", "x")
	p.Finish(r)
	h := &r.Response.Header
	if string(h.Peek("Server"))+string(h.Peek("X-Who"))+string(h.Peek("X-Evil")) != "" || string(h.Peek("X-Path")) != "/a  X-Evil:1" {
		t.Error(h.String())
	}
	for _, bad := range []string{"Content-Length", "a b", "", "te", "Connection"} {
		if _, err := NewHeaders(map[string]string{bad: "x"}, "/", "edit.request"); err == nil || problem.From(err).Code != "HR9003" {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := NewHeaders(map[string]string{"X": "{nobody}"}, "/", "edit.request"); err == nil {
		t.Error("an unknown value was taken")
	}
}

// FuzzQuery changes any query: what was not named stays, what was named is there once.
func FuzzQuery(f *testing.F) {
	f.Add("a=1&set=2", "v")
	f.Add("s%65t=1&&=&;", "&x=1\r\n")
	q, err := NewQuery(map[string]string{"set": "{x}", "gone": ""}, "/{x}")
	if err != nil {
		f.Fatal(err)
	}
	r := request("/")
	f.Fuzz(func(t *testing.T, query, value string) {
		r.Params[0] = []byte(value)
		before, err := url.ParseQuery(query)
		if err != nil {
			return
		}
		after, err := url.ParseQuery(string(q.Append(nil, []byte(query), r)))
		if err != nil || len(after["set"]) != 1 || after.Get("set") != value || after.Has("gone") {
			t.Fatalf("%q: %v %v", query, after, err)
		}
		delete(before, "set")
		delete(before, "gone")
		for name := range before {
			if len(after[name]) != len(before[name]) {
				t.Fatalf("%q: %v", query, after)
			}
		}
	})
}
