package edge

import (
	"bytes"
	"testing"

	"github.com/valyala/fasthttp"
)

func TestReadings(t *testing.T) {
	for path, want := range map[string][2]string{
		"/a/b":               {"/a/b", "/a/b"},
		"/a%2Fb":             {"/a%2Fb", "/a/b"},
		"/a%252fb":           {"/a%2fb", "/a/b"},
		"/%61dmin/x":         {"/admin/x", "/admin/x"},
		"/admin;v=1/x":       {"/admin;v=1/x", "/admin/x"},
		"/admin%3Bv/x":       {"/admin;v/x", "/admin/x"},
		`/admin\x`:           {`/admin\x`, "/admin/x"},
		"/x%5c..%5cadmin":    {`/x\..\admin`, "/admin"},
		"/x/..;/admin/":      {"/x/..;/admin/", "/admin/"},
		"/admin.%20/x":       {"/admin. /x", "/admin/x"},
		"/admin%00.js":       {"/admin\x00.js", "/admin"},
		"/admin%3fx":         {"/admin?x", "/admin"},
		"/x/%2e%2e/admin":    {"/admin", "/admin"},
		"/a/.":               {"/a/", "/a/"},
		"/a/..":              {"/", "/"},
		"/..":                {"/", "/"},
		"/a%":                {"/a%", "/a%"},
		"/a%2":               {"/a%2", "/a%2"},
		"/%e4%b8%ad/%c3%a9/": {"/中/é/", "/中/é/"},
	} {
		if got := string(strictly([]byte(path))); got != want[0] {
			t.Errorf("%s strictly is %q, want %q", path, got, want[0])
		}
		if got := string(loosely([]byte(path), twice)); got != want[1] {
			t.Errorf("%s loosely is %q, want %q", path, got, want[1])
		}
	}
}

func TestOverlong(t *testing.T) {
	for text, want := range map[string]bool{"\xc0\xaf": true, "a\xc1\x81": true, "\xe0\x80\xaf": true, "\xe0\x9f\xbf": true, "中é": false, "\xc0a": false, "\xc0": false, "\xe0\xa4\x85": false, "": false} {
		if got := overlong([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestParametersFirst(t *testing.T) {
	if got := string(loosely([]byte("/;..%2fx//admin;a=b%2f/y;"), early)); got != "/admin/y" {
		t.Error(got)
	}
}

// Of a path that is not odd all readings are the one that routes are matched with.
// An ordinary path costs next to nothing.
func BenchmarkOdd(b *testing.B) {
	path := []byte("/orders/17/items/list.json")
	b.ReportAllocs()
	for b.Loop() {
		if odd(path) {
			b.Fatal()
		}
	}
}

func FuzzReadings(f *testing.F) {
	for _, path := range []string{"/a/b", "//a//b/", "/a/%2e%2e/b", "/x%5c..;%c0%af", "/.well-known/x"} {
		f.Add([]byte(path))
	}
	f.Fuzz(func(t *testing.T, path []byte) {
		list := [][]byte{strictly(path)}
		for way := range looseWays {
			list = append(list, loosely(path, way))
		}
		for _, reading := range list {
			if reading[0] != '/' || bytes.Contains(reading, []byte("//")) || bytes.Contains(reading, []byte("/../")) {
				t.Fatalf("%q is read as %q", path, reading)
			}
		}
		if len(path) == 0 || path[0] != '/' || odd(path) || bytes.ContainsAny(path, "?#") || bytes.IndexFunc(path, func(c rune) bool { return c <= ' ' || c >= 0x7f }) >= 0 {
			return
		}
		var uri fasthttp.URI
		uri.SetPathBytes(path)
		for _, reading := range list {
			if matched := uri.Path(); !bytes.Equal(matched, reading) {
				t.Fatalf("%q is matched as %q and read as %q", path, matched, reading)
			}
		}
	})
}
