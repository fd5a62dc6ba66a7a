package cache

import (
	"bytes"
	"slices"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/valyala/fasthttp"
)

func FuzzCacheControl(f *testing.F) {
	for _, text := range []string{"max-age=60, public", `no-cache="a, b", s-maxage="1"`, `x="\"no-store", private`, "max-stale", `max-age="`, "=,=,,", "no-store;max-age=1"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := bytes.Clone(text)
		d := newDirectives()
		d.parse(text)
		if !bytes.Equal(text, before) {
			t.Error("the text was changed")
		}
		for _, x := range []any{d.maxAge, d.sMaxAge, d.minFresh, d.maxStale, d.whileRevalidate, d.ifError} {
			if x, ok := x.(interface{ Nanoseconds() int64 }); ok && (x.Nanoseconds() < -1 || x.Nanoseconds() > int64(forever)) {
				t.Errorf("%v", x)
			}
		}
		// What another line adds makes nothing longer that was there.
		e := d
		e.parse([]byte("no-store, max-age=0, s-maxage=0"))
		if !e.noStore || e.maxAge != 0 || e.sMaxAge != 0 {
			t.Errorf("%+v", e)
		}
	})
}

func FuzzVary(f *testing.F) {
	f.Add([]byte("Accept, accept-language ,,*"), []byte("ACCEPT"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		names, any := appendVary(nil, a)
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || slices.Contains(names, "*") {
			t.Errorf("%q", names)
		}
		again, anyAgain := appendVary(nil, bytes.ToUpper(a))
		if any != anyAgain || bytes.Equal(bytes.ToLower(a), bytes.ToLower(bytes.ToUpper(a))) && !slices.Equal(names, again) {
			t.Errorf("%q %q", names, again)
		}
		both, _ := appendVary(slices.Clone(names), b)
		other, _ := appendVary(nil, b)
		other, _ = appendVary(other, a)
		if !slices.Equal(both, other) {
			t.Errorf("%q %q", both, other)
		}
	})
}

func request(target, host, header string) *exchange.Request {
	r := &exchange.Request{RequestCtx: &fasthttp.RequestCtx{}}
	r.Request.Header.SetRequestURI(target)
	r.Request.Header.SetHost(host)
	r.Request.Header.Set("X-Tenant", header)
	return r
}

// Requests that differ in what is part of the key have different keys.
func FuzzKey(f *testing.F) {
	f.Add("/a?b=1", "h", "x", "/a", "h?b=1", "x")
	f.Add("/a", "h", "1,2", "/a", "h", "1, 2")
	p := &policy{route: "r", c: config.Cache{Headers: []string{"X-Tenant"}}, store: &Store{}}
	key := func(target, host, header string) []byte {
		b := binaryURI(target, host)
		return p.appendRest(b, request(target, host, header))
	}
	f.Fuzz(func(t *testing.T, target1, host1, header1, target2, host2, header2 string) {
		a, b := key(target1, host1, header1), key(target2, host2, header2)
		plain := func(text string) string {
			return string(appendField(nil, request("/", "", text), "X-Tenant"))
		}
		same := target1 == target2 && bytes.Equal(appendLower(nil, []byte(host1)), appendLower(nil, []byte(host2))) && plain(header1) == plain(header2)
		if bytes.Equal(a, b) != same {
			t.Errorf("%q and %q", a, b)
		}
	})
}

func binaryURI(target, host string) []byte {
	return appendPart(appendLower(nil, []byte(host)), []byte(target))
}

func FuzzFilter(f *testing.F) {
	f.Add("/a?utm_x=1&b=2&&c", "/a")
	p := &policy{c: config.Cache{QueryIgnore: []string{"utm_*"}}}
	f.Fuzz(func(t *testing.T, target, _ string) {
		r := request(target, "h", "")
		p.filter(r, nil)
		once := string(r.Request.Header.RequestURI())
		p.filter(r, nil)
		if again := string(r.Request.Header.RequestURI()); again != once {
			t.Errorf("%q %q", once, again)
		}
		_, query, _ := bytes.Cut([]byte(once), []byte("?"))
		for pair := range bytes.SplitSeq(query, []byte("&")) {
			if bytes.HasPrefix(pair, []byte("utm_")) {
				t.Errorf("%q", once)
			}
		}
	})
}

func FuzzRange(f *testing.F) {
	f.Add([]byte("bytes=1-2"), 10)
	f.Fuzz(func(t *testing.T, text []byte, size int) {
		size &= 1<<30 - 1
		from, to, v := part(text, size)
		if v == satisfiable && (from < 0 || to < from || to >= size) {
			t.Error(from, to, size)
		}
		listed(text, []byte(`"x"`))
	})
}
