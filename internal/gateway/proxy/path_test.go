package proxy

import (
	"bytes"
	"net/url"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/problem"
)

func TestTarget(t *testing.T) {
	for uri, want := range map[string]string{
		"/": "/", "/a/b?c=d&e=%zz": "/a/b ? c=d&e=%zz", "/a%2Fb": "/a%2Fb", "/a//b": "/a//b", "//a/b": "/a/b", "///": "/", "/é": "/é", "/a;v=1/b": "/a;v=1/b",
		"/a/./b/../c": "/a/c", "/..": "/", "/../../x": "/x", "/a/..": "/", "/a/.": "/a/", "/a/../..;x=/b": "HR4001", "/a/b/../": "/a/", "/.well-known/x": "/.well-known/x",
		"/a..b/...": "/a..b/...", "/%2e%2e/x": "HR4001", "/a/%2E/x": "HR4001", "/a%2f..%2fb": "HR4001", "/a/..%2fb": "HR4001", `/a\..\b`: "HR4001", "/a%5c..": "HR4001",
		"/a/..;/b": "HR4001", "/a/%252e%252e/b": "HR4001", "/a%252Fb": "/a%252Fb", "/100%25": "/100%25", "/%": "HR4001", "/%2": "HR4001", "/%zz": "HR4001", "/%00": "HR4001",
		"/a#b": "HR4001", "/a?b#c": "HR4001", "*": "HR4001", "a": "HR4001", "x.example": "HR4001",
		"http://example.com/a": "/a", "HTTP://Example.com": "/", "http://example.com?a=/b": "/ ? a=/b", "http://other/a": "HR4002", "http://a@example.com/": "HR4002",
		"ftp://example.com/": "HR4001", `/a\b`: `/a\b`,
	} {
		path, query, err := target([]byte(uri), []byte("example.com"), nil)
		got := string(path)
		if query != nil {
			got += " ? " + string(query)
		}
		if err != nil {
			got = problem.From(err).Code
		}
		if got != want {
			t.Errorf("%s: %s, want %s", uri, got, want)
		}
	}
	for host, ok := range map[string]bool{"a.example:80": true, "[::1]:8080": true, "a b": false, "": false, "a/b": false, "a@b": false, "a,b": false, "a\\b": false} {
		if (checkHost([]byte(host)) == nil) != ok {
			t.Errorf("host %q", host)
		}
	}
}

// FuzzTarget compares what is passed on with what routes are matched with: read by the standard library, or by fasthttp, it has the same segments.
func FuzzTarget(f *testing.F) {
	f.Add("/a/../b%2fc//d")
	f.Add("/a/%2e./b")
	f.Add(`/a/..\b;x/..;`)
	f.Fuzz(func(t *testing.T, uri string) {
		if !strings.HasPrefix(uri, "/") || strings.ContainsAny(uri, "\r\n") {
			return
		}
		path, _, err := target([]byte(uri), []byte("h"), make([]byte, 0, 8))
		if err != nil {
			return
		}
		if len(path) == 0 || path[0] != '/' || bytes.HasPrefix(path, []byte("//")) || bytes.ContainsAny(path, "?# \x00") || dots(path) {
			t.Fatalf("%q: %q", uri, path)
		}
		u, err := url.ParseRequestURI(string(path))
		if err != nil {
			t.Fatalf("%q: %q: %v", uri, path, err)
		}
		matched := &fasthttp.URI{}
		raw, _, _ := strings.Cut(uri, "?")
		if err := matched.Parse([]byte("h"), []byte("/"+strings.TrimLeft(raw, "/"))); err != nil {
			return
		}
		full := func(path string) (list []string) {
			for s := range strings.SplitSeq(path, "/") {
				if s != "" {
					list = append(list, s)
				}
			}
			return list
		}
		if got, want := strings.Join(full(u.Path), "/"), strings.Join(full(string(matched.Path())), "/"); got != want {
			t.Fatalf("%q: passed on as %q, matched as %q", uri, got, want)
		}
	})
}
