package cache

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
)

// counting answers with its number and these headers.
func counting(headers ...string) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, q *http.Request) {
		n++
		for i := 0; i < len(headers); i += 2 {
			w.Header().Add(headers[i], headers[i+1])
		}
		fmt.Fprintf(w, "%d", n)
	}
}

// What may be kept, by what upstream and client say.
func TestStorable(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	past := time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name    string
		answer  []string
		request []string
		kept    bool
	}{
		{"max-age", []string{"Cache-Control", "max-age=60"}, nil, true},
		{"s-maxage comes first", []string{"Cache-Control", "max-age=0, s-maxage=60"}, nil, true},
		{"s-maxage=0", []string{"Cache-Control", "max-age=60, s-maxage=0"}, nil, false},
		{"capitals and quotes", []string{"Cache-Control", `Public, MAX-AGE="60"`}, nil, true},
		{"two lines", []string{"Cache-Control", "public", "Cache-Control", "max-age=60"}, nil, true},
		{"said twice", []string{"Cache-Control", "max-age=60, max-age=0"}, nil, false},
		{"no number", []string{"Cache-Control", "max-age=1h"}, nil, false},
		{"too large a number", []string{"Cache-Control", "max-age=99999999999999999999"}, nil, true},
		{"within quotes", []string{"Cache-Control", `x="no-store, private", max-age=60`}, nil, true},
		{"Expires", []string{"Expires", soon}, nil, true},
		{"Expires in the past", []string{"Expires", past}, nil, false},
		{"Expires: 0", []string{"Expires", "0"}, nil, false},
		{"max-age before Expires", []string{"Expires", soon, "Cache-Control", "max-age=0"}, nil, false},
		{"nothing", nil, nil, false},
		{"no-store", []string{"Cache-Control", "max-age=60, no-store"}, nil, false},
		{"private", []string{"Cache-Control", "max-age=60, private"}, nil, false},
		{"private of a header", []string{"Cache-Control", `max-age=60, private="x"`}, nil, false},
		{"no-cache", []string{"Cache-Control", "max-age=60, no-cache"}, nil, false},
		{"Age", []string{"Cache-Control", "max-age=60", "Age", "59"}, nil, true},
		{"too old", []string{"Cache-Control", "max-age=60", "Age", "60"}, nil, false},
		{"cookie", []string{"Cache-Control", "max-age=60", "Set-Cookie", "a=b"}, nil, false},
		{"Vary: *", []string{"Cache-Control", "max-age=60", "Vary", "*"}, nil, false},
		{"Vary: Cookie", []string{"Cache-Control", "max-age=60", "Vary", "Cookie"}, nil, false},
		{"Vary: accept", []string{"Cache-Control", "max-age=60", "Vary", "accept"}, nil, true},
		{"request no-store", []string{"Cache-Control", "max-age=60"}, []string{"Cache-Control", "no-store"}, false},
		{"request no-cache", []string{"Cache-Control", "max-age=60"}, []string{"Cache-Control", "no-cache"}, false},
		{"request Pragma", []string{"Cache-Control", "max-age=60"}, []string{"Pragma", "no-cache"}, false},
		{"request max-age=0", []string{"Cache-Control", "max-age=60"}, []string{"Cache-Control", "max-age=0"}, false},
		{"request min-fresh", []string{"Cache-Control", "max-age=60"}, []string{"Cache-Control", "min-fresh=90"}, false},
		{"authorization", []string{"Cache-Control", "max-age=60"}, []string{"Authorization", "Bearer x"}, false},
		{"identity", []string{"Cache-Control", "max-age=60"}, []string{"X-User", "ann"}, false},
		{"authorization, public", []string{"Cache-Control", "max-age=60, public"}, []string{"Authorization", "Bearer x"}, true},
		{"authorization, s-maxage", []string{"Cache-Control", "s-maxage=60"}, []string{"Authorization", "Bearer x"}, true},
		{"authorization, must-revalidate", []string{"Cache-Control", "max-age=60, must-revalidate"}, []string{"X-User", "ann"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, defaults(), counting(c.answer...))
			r.expect("miss", r.get("/a", c.request...), "1")
			if c.kept {
				g := r.get("/a", c.request...)
				r.expect("hit", g, "1")
				if age, err := strconv.Atoi(g.header.Get("Age")); err != nil || age < 0 || age > 61 {
					t.Error(g)
				}
			} else {
				r.expect("miss", r.get("/a", c.request...), "2")
			}
		})
	}
}

func TestPolicy(t *testing.T) {
	fixed := func(status int, headers ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, q *http.Request) {
			for i := 0; i < len(headers); i += 2 {
				w.Header().Add(headers[i], headers[i+1])
			}
			w.WriteHeader(status)
			fmt.Fprint(w, q.URL.RawQuery, " ", q.Header.Get("Authorization"), q.Header.Get("X-User"))
		}
	}
	with := func(f func(*config.Cache)) *config.Cache { c := defaults(); f(c); return c }
	t.Run("ttl", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.TTL = time.Minute }), fixed(200))
		r.get("/")
		r.expect("hit", r.get("/"), "")
		r.upstream.Store(new(fixed(404)))
		r.get("/none")
		r.expect("miss", r.get("/none"), "")
	})
	t.Run("status", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.Status = map[string]time.Duration{"404": time.Minute} }), fixed(404))
		r.get("/")
		if g := r.get("/"); g.status != 404 || !strings.HasPrefix(g.cache(), "headrace; hit; ttl=") {
			t.Error(g)
		}
	})
	t.Run("query", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.QueryIgnore = []string{"utm_*", "x"} }), fixed(200, "Cache-Control", "max-age=60"))
		r.expect("miss", r.get("/?a=1&utm_source=evil&b=%20&x=1"), "a=1&b=%20 ")
		r.expect("hit", r.get("/?utm_campaign=2&a=1&b=%20"), "a=1&b=%20 ")
		r.expect("hit", r.get("/?utm%5Fcampaign=2&a=1&b=%20"), "a=1&b=%20 ")
		r.expect("miss", r.get("/?a=1&b=+"), "a=1&b=+ ")
		r.expect("miss", r.get("/"), " ")
		r.expect("hit", r.get("/?x"), " ")
	})
	t.Run("query only", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.QueryOnly = []string{"page"} }), fixed(200, "Cache-Control", "max-age=60"))
		r.expect("miss", r.get("/?page=1&z=2"), "page=1 ")
		r.expect("hit", r.get("/?page=1&z=3"), "page=1 ")
		r.expect("miss", r.get("/?page=2"), "page=2 ")
	})
	t.Run("headers and cookies", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.Headers, c.Cookies = []string{"X-Tenant"}, []string{"theme"} }), fixed(200, "Cache-Control", "max-age=60", "Vary", "X-Tenant"))
		r.expect("miss", r.get("/", "X-Tenant", "a"), "")
		r.expect("miss", r.get("/", "X-Tenant", "b"), "")
		r.expect("hit", r.get("/", "X-Tenant", "a", "Cookie", "other=1"), "")
		r.expect("miss", r.get("/", "X-Tenant", "a", "Cookie", "theme=dark; other=2"), "")
		r.expect("hit", r.get("/", "X-Tenant", "a", "Cookie", "theme=dark; other=3"), "")
	})
	t.Run("private", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.Private = true }), fixed(200, "Cache-Control", "private, max-age=60"))
		r.expect("miss", r.get("/", "X-User", "ann"), " ann")
		r.expect("hit", r.get("/", "X-User", "ann"), " ann")
		r.expect("miss", r.get("/", "X-User", "ben"), " ben")
		r.expect("miss", r.get("/", "Authorization", "Bearer ann"), " Bearer ann")
		r.expect("hit", r.get("/", "Authorization", "Bearer ann"), " Bearer ann")
		r.expect("miss", r.get("/"), " ")
		r.expect("miss", r.get("/"), " ") // nobody: it would be everybody's
	})
	t.Run("cookies that are set", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.SetCookie = true }), fixed(200, "Cache-Control", "max-age=60", "Set-Cookie", "session=secret"))
		if g := r.get("/"); g.header.Get("Set-Cookie") != "session=secret" {
			t.Error(g)
		}
		if g := r.get("/"); g.header.Get("Set-Cookie") != "" || !strings.Contains(g.cache(), "hit") {
			t.Error(g)
		}
	})
	t.Run("ignore client", func(t *testing.T) {
		r := newRig(t, with(func(c *config.Cache) { c.IgnoreClient = true }), fixed(200, "Cache-Control", "max-age=60"))
		r.get("/")
		r.expect("hit", r.get("/", "Cache-Control", "no-cache", "Pragma", "no-cache"), "")
	})
}

func TestVary(t *testing.T) {
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Vary", "accept-language, Accept-Encoding")
		fmt.Fprint(w, q.Header.Get("Accept-Language"), "|", q.Header.Get("Accept-Encoding"))
	})
	r.expect("miss", r.get("/", "Accept-Language", "de", "Accept-Encoding", "gzip, br"), "de|br, gzip")
	r.expect("miss", r.get("/", "Accept-Language", "en"), "en|")
	r.expect("hit", r.get("/", "Accept-Language", "de", "Accept-Encoding", "deflate;q=0.5,br;q=0.7, GZIP"), "de|br, gzip")
	r.expect("miss", r.get("/", "Accept-Language", "de", "Accept-Encoding", "br;q=0, gzip"), "de|gzip")
	r.expect("hit", r.get("/", "Accept-Language", "en"), "en|")
	if g := r.get("/", "Accept-Language", "fr"); g.cache() != "headrace; fwd=vary-miss; stored" {
		t.Error(g)
	}
}

func TestConditional(t *testing.T) {
	date := "Mon, 02 Jan 2023 10:00:00 GMT"
	r := newRig(t, defaults(), counting("Cache-Control", "max-age=60", "Etag", `W/"v1"`, "Last-Modified", date, "X-Other", "1"))
	for i, c := range []struct {
		status  int
		headers []string
	}{
		{304, []string{"If-None-Match", `"v1"`}}, // also the one that fills: the upstream is asked for all of it
		{200, nil},
		{304, []string{"If-None-Match", `"a", W/"v1"`}},
		{304, []string{"If-None-Match", `*`}},
		{200, []string{"If-None-Match", `"v2"`}},
		{200, []string{"If-None-Match", `"v2"`, "If-Modified-Since", date}},
		{304, []string{"If-Modified-Since", date}},
		{304, []string{"If-Modified-Since", "Tue, 03 Jan 2023 10:00:00 GMT"}},
		{200, []string{"If-Modified-Since", "Sun, 01 Jan 2023 10:00:00 GMT"}},
		{200, []string{"If-Modified-Since", "yesterday"}},
	} {
		g := r.get("/", c.headers...)
		if g.status != c.status || g.status == 304 && (g.body != "" || g.header.Get("Etag") != `W/"v1"`) || g.status == 200 && g.body != "1" {
			t.Error(i, c, g)
		}
	}
	if n := r.asked.Load(); n != 1 {
		t.Error(n)
	}
}

// A stale answer is asked for again with its validators; if it has not changed, the client gets it, and the head of the 304 counts.
func TestRevalidation(t *testing.T) {
	var seen []string
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		seen = append(seen, q.Header.Get("If-None-Match")+" "+q.Header.Get("If-Modified-Since"))
		w.Header().Set("Cache-Control", "max-age=0")
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("X-Count", strconv.Itoa(len(seen)))
		if q.Header.Get("If-None-Match") == `"v1"` {
			w.Header().Set("Cache-Control", "max-age=60")
			w.WriteHeader(304)
			return
		}
		w.Header().Set("Content-Type", "text/x")
		fmt.Fprint(w, "body")
	})
	r.expect("miss", r.get("/"), "body")
	g := r.get("/", "If-None-Match", `"mine"`)
	if g.status != 200 || g.body != "body" || g.cache() != "headrace; fwd=stale; fwd-status=304" || g.header.Get("X-Count") != "2" || g.header.Get("Content-Type") != "text/x" {
		t.Error(g)
	}
	r.expect("hit", r.get("/"), "body")
	if fmt.Sprint(seen) != `[  "v1" ]` {
		t.Errorf("%q", seen)
	}
	// no-cache in the answer: each time
	r.upstream.Store(new(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60, no-cache")
		w.Header().Set("Etag", `"v1"`)
		if q.Header.Get("If-None-Match") == `"v1"` {
			w.WriteHeader(304)
			return
		}
		fmt.Fprint(w, "checked")
	})))
	for i := range 3 {
		if g := r.get("/checked"); g.body != "checked" || i > 0 && !strings.Contains(g.cache(), "304") {
			t.Error(i, g)
		}
	}
}

func TestRange(t *testing.T) {
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Etag", `"v1"`)
		if q.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", "bytes 0-0/10")
			w.WriteHeader(206)
			fmt.Fprint(w, "0")
			return
		}
		fmt.Fprint(w, "0123456789")
	})
	if g := r.get("/", "Range", "bytes=0-0"); g.status != 206 || g.body != "0" {
		t.Error(g)
	}
	r.expect("miss", r.get("/"), "0123456789") // the part was not kept as the whole
	for text, want := range map[string]string{"bytes=2-4": "206 234 bytes 2-4/10", "bytes=7-": "206 789 bytes 7-9/10", "bytes=-2": "206 89 bytes 8-9/10",
		"bytes=5-99": "206 56789 bytes 5-9/10", "bytes=1-2,4-5": "200 0123456789 ", "lines=1-2": "200 0123456789 ", "bytes=4-2": "200 0123456789 ", "bytes=-": "200 0123456789 "} {
		if g := r.get("/", "Range", text); fmt.Sprint(g.status, " ", g.body, " ", g.header.Get("Content-Range")) != want {
			t.Error(text, g)
		}
	}
	if g := r.get("/", "Range", "bytes=10-"); g.status != 416 || g.header.Get("Content-Range") != "bytes */10" {
		t.Error(g)
	}
	if g := r.get("/", "Range", "bytes=0-1", "If-Range", `"v1"`); g.status != 206 {
		t.Error(g)
	}
	if g := r.get("/", "Range", "bytes=0-1", "If-Range", `"v2"`); g.status != 200 {
		t.Error(g)
	}
	if g := r.do("HEAD", "/"); g.status != 200 || g.header.Get("Content-Length") != "10" || g.body != "" || !strings.Contains(g.cache(), "hit") {
		t.Error(g)
	}
}

// A request that may change something makes what is kept of its address, and of the addresses it names, be asked for again.
func TestInvalidation(t *testing.T) {
	status := 200
	count := counting("Cache-Control", "max-age=60")
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		if q.Method == "GET" {
			count(w, q)
			return
		}
		w.Header().Set("Location", "/orders/2")
		w.WriteHeader(status)
	})
	r.get("/orders")
	r.get("/orders/2")
	r.do("OPTIONS", "/orders")
	status = 500
	r.do("POST", "/orders")
	r.expect("hit", r.get("/orders"), "1")
	status = 201
	r.do("POST", "/orders")
	r.expect("miss", r.get("/orders"), "3")
	r.expect("miss", r.get("/orders/2"), "4")
	r.expect("hit", r.get("/orders"), "3")
	r.do("DELETE", "/orders/2", "Host", "other.example")
	r.expect("hit", r.get("/orders/2"), "4")
}

// What is not part of the key does not get into what is kept: neither by headers that the upstream believes, nor by those that headrace makes.
func TestPoisoning(t *testing.T) {
	names := append([]string{"X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded"}, unkeyed...)
	echo := func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		for _, name := range names {
			fmt.Fprint(w, q.Header.Get(name))
		}
		fmt.Fprint(w, " ", q.Host, " ", q.Method, " ", q.URL.RequestURI())
	}
	r := newRig(t, defaults(), echo)
	for i, name := range names {
		path := fmt.Sprintf("/%d", i)
		g := r.get(path, name, "evil.example", "Host", "a.example")
		if strings.Contains(g.body, "evil") {
			t.Error(name, g)
		}
		r.expect("hit", r.get(path, "Host", "A.example"), g.body)
		r.expect("miss", r.get(path, "Host", "evil.example"), "")
	}
	// What the upstream may take differently is kept apart.
	seen := map[string]bool{}
	for _, path := range []string{"/x", "/x?", "/x/", "/%78", "//x", "/x?a", "/x?a=", "/x?A", "/x?a&b", "/x?b&a", "/x?a%26b", "/x;a", "/y/../x", "/x?a=1&a=2", "/x?a=2&a=1"} {
		g := r.get(path)
		if !strings.Contains(g.cache(), "fwd") || seen[g.body] {
			t.Error(path, g)
		}
		seen[g.body] = true
	}
	// A body that a GET should not have, and which is not part of the key.
	q, _ := http.NewRequest("GET", r.url+"/fat", strings.NewReader("evil"))
	a, err := client.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	a.Body.Close()
	r.expect("miss", r.get("/fat"), "")
	// Behind a proxy that is trusted its word is part of the key.
	r = newRig(t, defaults(), echo, netip.MustParsePrefix("127.0.0.0/8"))
	r.expect("miss", r.get("/", "X-Forwarded-Host", "a"), "")
	r.expect("miss", r.get("/", "X-Forwarded-Host", "b"), "")
	r.expect("hit", r.get("/", "X-Forwarded-Host", "a"), "")
	r.expect("miss", r.get("/", "X-Forwarded-Host", "a", "X-Forwarded-Proto", "https"), "")
}

func TestOnlyIfCached(t *testing.T) {
	r := newRig(t, defaults(), counting("Cache-Control", "max-age=60"))
	if g := r.get("/", "Cache-Control", "only-if-cached"); g.status != 504 || !strings.Contains(g.body, "HR4071") {
		t.Error(g)
	}
	r.get("/")
	r.expect("hit", r.get("/", "Cache-Control", "only-if-cached"), "1")
}

func TestPurge(t *testing.T) {
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Cache-Tag", "all, path"+strings.ReplaceAll(q.URL.Path, "/", "-"))
		w.Header().Set("Vary", "Accept-Language")
		fmt.Fprint(w, q.URL.Path)
	})
	paths := []string{"/a", "/a/b", "/ab", "/c"}
	fill := func() {
		for _, path := range paths {
			r.get(path, "Accept-Language", "de")
			r.get(path, "Accept-Language", "en")
		}
	}
	there := func() (list string) {
		for _, path := range paths {
			if r.get(path, "Accept-Language", "de", "Cache-Control", "only-if-cached").status == 200 {
				list += path + " "
			}
		}
		return list
	}
	for _, c := range []struct {
		purge Purge
		n     int
		left  string
	}{
		{Purge{Prefixes: []string{"/a"}}, 4, "/ab /c "},
		{Purge{Prefixes: []string{"/a/"}}, 2, "/a /ab /c "},
		{Purge{Tags: []string{"path-c", "path-ab"}}, 4, "/a /a/b "},
		{Purge{Tags: []string{"all"}, Host: "other.example"}, 0, "/a /a/b /ab /c "},
		{Purge{All: true, Host: strings.TrimPrefix(r.url, "http://")}, 8, ""},
		{Purge{All: true}, 8, ""},
		{Purge{}, 0, "/a /a/b /ab /c "},
	} {
		fill()
		if n := r.store.Purge(c.purge); n != c.n {
			t.Error(c, n)
		}
		if left := there(); left != c.left {
			t.Error(c, left)
		}
	}
}

// What is purged on one node goes on the others, too.
func TestPurgeOnAllNodes(t *testing.T) {
	e, err := engine.Open(t.Context(), engine.Config{Data: t.TempDir(), MinFree: -1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_ = e.Stop(ctx)
	})
	var nodes [2]*rig
	for i := range nodes {
		nodes[i] = newRig(t, defaults(), counting("Cache-Control", "max-age=60"))
		if err := nodes[i].store.Join(e); err != nil {
			t.Fatal(err)
		}
		if err := nodes[i].store.nodes.Load().Flush(); err != nil {
			t.Fatal(err)
		}
		nodes[i].get("/a")
	}
	if n := nodes[0].store.Purge(Purge{Prefixes: []string{"/a"}}); n != 1 {
		t.Error(n)
	}
	until(t, "the other node forgets", func() bool { return nodes[1].store.Stats().Entries == 0 })
	if st := nodes[0].store.Stats(); st.Purged != 1 || st.Entries != 0 {
		t.Errorf("%+v", st)
	}
}
