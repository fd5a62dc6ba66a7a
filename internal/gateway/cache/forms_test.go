package cache

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/compress"
)

// compression is the policy as it is by default.
func compression(t testing.TB) (exchange.Policy, *compress.Encoders) {
	t.Helper()
	encoders := compress.NewEncoders()
	policy, err := compress.New(&config.Compress{Level: "fast", MinSize: config.KiB, MaxRatio: 100, Memory: 64 * config.MiB}, encoders)
	if err != nil {
		t.Fatal(err)
	}
	return policy, encoders
}

// orders is a body that compresses well.
func orders(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, `{"id":%d,"name":"customer %d"},`, i*7919%1000003, i)
	}
	return b.String()
}

// packed are a cache and compression, and how many answers reused a form.
func packed(t *testing.T, c *config.Cache, upstream http.HandlerFunc) (*rig, func() int) {
	t.Helper()
	policy, encoders := compression(t)
	r := newRigBehind(t, c, upstream, []exchange.Policy{policy})
	return r, func() int { return metric(t, encoders.Traffic) }
}

// metric is how often a form was reused.
func metric(t *testing.T, traffic *compress.Traffic) int {
	t.Helper()
	metrics := make(chan prometheus.Metric, 100)
	traffic.Collect(metrics)
	close(metrics)
	for m := range metrics {
		var out dto.Metric
		if strings.Contains(m.Desc().String(), "compress_reused_total") && m.Write(&out) == nil {
			return int(out.GetCounter().GetValue())
		}
	}
	t.Fatal("no such metric")
	return 0
}

func unzip(t *testing.T, text string) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// The compressed form of an answer is made once for each coding, and answers of every kind are as they are without a cache.
func TestFormsAreKept(t *testing.T) {
	body := orders(20 << 10)
	r, reused := packed(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Etag", `"v1"`)
		w.Header().Set("Accept-Ranges", "bytes")
		fmt.Fprint(w, body)
	})
	plain := r.get("/")
	if plain.body != body || plain.header.Get("Vary") != "Accept-Encoding" || plain.header.Get("Etag") != `"v1"` {
		t.Error(plain.header)
	}
	before := r.store.Stats().Bytes
	var size int
	for i, coding := range []string{"gzip", "gzip", "br", "br", "zstd", "gzip;q=0.5, br;q=0", "br"} {
		g := r.get("/", "Accept-Encoding", coding)
		want, _, _ := strings.Cut(coding, ";")
		h := g.header
		if h.Get("Content-Encoding") != want || h.Get("Vary") != "Accept-Encoding" || h.Get("Etag") != `W/"v1"` || h.Get("Accept-Ranges") != "" || h.Get("Content-Length") != strconv.Itoa(len(g.body)) ||
			!strings.Contains(g.cache(), "hit") {
			t.Errorf("%d %s: %v", i, coding, h)
		}
		if want == "gzip" {
			if unzip(t, g.body) != body {
				t.Error("gzip is another body")
			}
			size = len(g.body)
		}
	}
	if n := reused(); n != 4 || r.asked.Load() != 1 {
		t.Errorf("%d reused, %d asked", n, r.asked.Load())
	}
	st := r.store.Stats()
	if st.Entries != 1 || st.Bytes < before+uint64(2*size) || st.Bytes > before+uint64(len(body)) {
		t.Errorf("%d bytes before, %+v", before, st)
	}
	// HEAD has the head of GET.
	get, head := r.get("/", "Accept-Encoding", "gzip"), r.do("HEAD", "/", "Accept-Encoding", "gzip")
	for _, name := range []string{"Content-Encoding", "Content-Length", "Etag", "Vary", "Content-Type", "Accept-Ranges"} {
		if get.header.Get(name) != head.header.Get(name) {
			t.Errorf("%s: %q, and %q of HEAD", name, get.header.Get(name), head.header.Get(name))
		}
	}
	if head.body != "" || head.header.Get("Content-Encoding") != "gzip" {
		t.Error(head)
	}
	// Who has it is told so, with the tag that he knows.
	for _, tag := range []string{`W/"v1"`, `"x", W/"v1"`} {
		if g := r.get("/", "Accept-Encoding", "gzip", "If-None-Match", tag); g.status != 304 || g.body != "" || g.header.Get("Etag") != `W/"v1"` || g.header.Get("Vary") != "Accept-Encoding" || g.header.Get("Content-Encoding") != "" {
			t.Error(tag, g)
		}
	}
	if g := r.get("/", "Accept-Encoding", "gzip", "If-None-Match", `W/"v2"`); g.status != 200 || g.header.Get("Content-Encoding") != "gzip" {
		t.Error(g)
	}
	// A range is one of the plain bytes. Who has coded ones, whose tag is weak, gets all instead.
	if g := r.get("/", "Accept-Encoding", "gzip", "Range", "bytes=10-19"); g.status != 206 || g.body != body[10:20] || g.header.Get("Content-Encoding") != "" || g.header.Get("Etag") != `"v1"` {
		t.Error(g)
	}
	if g := r.get("/", "Accept-Encoding", "gzip", "Range", "bytes=10-19", "If-Range", `W/"v1"`); g.status != 200 || unzip(t, g.body) != body {
		t.Error(g.status, g.header)
	}
	if g := r.get("/", "Accept-Encoding", "gzip", "Range", "bytes=999999-"); g.status != 416 || g.header.Get("Content-Encoding") != "" {
		t.Error(g)
	}
	if g := r.get("/"); g.body != body || g.header.Get("Content-Encoding") != "" || g.header.Get("Etag") != `"v1"` {
		t.Error(g.header)
	}
}

// A purge takes all forms with it, a change of the answer too; an answer that has not changed keeps them.
func TestFormsGoWithTheirEntry(t *testing.T) {
	var version atomic.Int64
	r, reused := packed(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		tag := fmt.Sprintf(`"%d"`, version.Load())
		w.Header().Set("Cache-Control", "max-age=0")
		w.Header().Set("Cache-Tag", "orders")
		w.Header().Set("Content-Type", "text/plain")
		w.Header().Set("Etag", tag)
		if q.Header.Get("If-None-Match") == tag {
			w.WriteHeader(304)
			return
		}
		fmt.Fprint(w, strings.Repeat(fmt.Sprint(version.Load()), 5000))
	})
	for i := range 4 { // the upstream says three times that nothing has changed
		g := r.get("/", "Accept-Encoding", "gzip")
		if text := unzip(t, g.body); text[0] != '0' || g.header.Get("Content-Encoding") != "gzip" {
			t.Error(i, g)
		}
	}
	if n := reused(); n != 2 { // the first streams or is the upstream's, the second makes the form
		t.Errorf("%d reused", n)
	}
	version.Store(1)
	for range 2 {
		if g := r.get("/", "Accept-Encoding", "gzip"); unzip(t, g.body)[0] != '1' {
			t.Error(g)
		}
	}
	r.get("/", "Accept-Encoding", "br")
	if n := r.store.Purge(Purge{Tags: []string{"orders"}}); n != 1 {
		t.Errorf("%d purged", n)
	}
	if st := r.store.Stats(); st.Entries != 0 || st.Bytes != 0 {
		t.Errorf("%+v", st)
	}
	for _, coding := range []string{"gzip", "br", ""} {
		if g := r.get("/", "Accept-Encoding", coding, "Cache-Control", "only-if-cached"); g.status != 504 {
			t.Error(coding, g)
		}
	}
	version.Store(2)
	if g := r.get("/", "Accept-Encoding", "gzip"); unzip(t, g.body)[0] != '2' {
		t.Error(g)
	}
}

// What does not get shorter, is of a coding already, or must stay as it is, is given as it is.
func TestFormsOfNoUse(t *testing.T) {
	noise := make([]byte, 4<<10)
	for i, x := 0, uint32(1); i < len(noise); i++ {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		noise[i] = byte(x)
	}
	r, reused := packed(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "text/plain")
		switch q.URL.Path {
		case "/coded":
			w.Header().Set("Content-Encoding", "br")
		case "/fixed":
			w.Header().Set("Cache-Control", "max-age=60, no-transform")
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(noise)))
		_, _ = w.Write(noise)
	})
	for _, path := range []string{"/noise", "/coded", "/fixed"} {
		for range 3 {
			if g := r.get(path, "Accept-Encoding", "gzip"); g.body != string(noise) || g.header.Get("Content-Encoding") == "gzip" {
				t.Error(path, g.header)
			}
		}
	}
	if n := reused(); n != 0 {
		t.Errorf("%d reused", n)
	}
}

// Many who ask at the same time have one form made.
func TestFormIsMadeOnce(t *testing.T) {
	s := NewStore(64 * config.MiB)
	t.Cleanup(s.Close)
	e := &entry{body: []byte(orders(4 << 10))}
	s.put(id{1, 2}, e)
	var made atomic.Int64
	var group sync.WaitGroup
	gate := make(chan struct{})
	for range 20 {
		group.Go(func() {
			<-gate
			got, ok := e.forms.Make("a", func(body []byte) ([]byte, bool) { made.Add(1); return body[:100], true })
			if !ok || len(got) != 100 {
				t.Error(len(got), ok)
			}
		})
	}
	close(gate)
	group.Wait()
	if n := made.Load(); n != 1 {
		t.Errorf("made %d times", n)
	}
	// One that could not be made is asked for again, one that is of no use is not.
	for _, ok := range []bool{false, true, false} {
		before := made.Load()
		got, there := e.forms.Make("b", func([]byte) ([]byte, bool) { made.Add(1); return nil, ok })
		if got != nil || made.Load() == before && !there {
			t.Error(ok, there)
		}
	}
	if n := made.Load(); n != 3 {
		t.Errorf("made %d times", n)
	}
	// Of an entry that is gone, or whose place another one has, nothing is kept.
	s.put(id{1, 2}, &entry{body: []byte("new")})
	e.forms.Make("c", func(body []byte) ([]byte, bool) { return body, true })
	s.purge(Purge{All: true})
	e.forms.Make("d", func(body []byte) ([]byte, bool) { return body, true })
	if len(e.forms.all()) != 2 || s.Stats().Entries != 0 {
		t.Errorf("%d forms, %+v", len(e.forms.all()), s.Stats())
	}
}

// Forms count: a store that is full of them stays within its memory. A form that would need too much of it is not kept.
func TestFormsAreBounded(t *testing.T) {
	s := NewStore(2 * config.MiB)
	t.Cleanup(s.Close)
	half := func(body []byte) ([]byte, bool) { return bytes.Clone(body[:len(body)/2]), true }
	for i := range 200 {
		at := id{uint64(i), 1}
		e := &entry{body: make([]byte, 32<<10)}
		s.put(at, e)
		before := s.Stats().Bytes
		_, _ = e.forms.Make("a", half)
		st := s.Stats()
		if st.Bytes > 2<<20 {
			t.Fatalf("%+v", st)
		}
		if i == 0 && st.Bytes != before+16<<10+64 {
			t.Errorf("%d, and %d before", st.Bytes, before)
		}
	}
	if st := s.Stats(); st.Entries > 42 || st.Evicted < 150 {
		t.Errorf("%+v", st)
	}
	s.purge(Purge{All: true})
	for size, kept := range map[int]bool{256 << 10: true, 256<<10 + 1: false} {
		e := &entry{body: make([]byte, size)}
		s.put(id{uint64(size), 2}, e)
		if _, ok := e.forms.Make("a", half); !ok || len(e.forms.all()) > 0 != kept {
			t.Errorf("%d: %v, %d forms", size, ok, len(e.forms.all()))
		}
	}
}

// What replaced the answer that was kept is not taken for it.
func TestReplacedAnswer(t *testing.T) {
	policy, encoders := compression(t)
	replace := exchange.Policy{Around: func(next exchange.Handler) exchange.Handler {
		return func(r *exchange.Request) error {
			other := r.QueryArgs().Has("other") // the cache removes it
			if err := next(r); err != nil || !other {
				return err
			}
			r.JSON(200, []byte(strings.Repeat("other", 1000)))
			return nil
		}
	}}
	c := defaults()
	c.QueryOnly = []string{"none"}
	r := newRigBehind(t, c, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, strings.Repeat("first", 1000)) // as long
	}, []exchange.Policy{policy, replace})
	r.get("/", "Accept-Encoding", "gzip")
	for range 3 {
		if g := r.get("/", "Accept-Encoding", "gzip"); !strings.HasPrefix(unzip(t, g.body), "first") {
			t.Error(g)
		}
		if g := r.get("/?other", "Accept-Encoding", "gzip"); !strings.HasPrefix(unzip(t, g.body), "other") {
			t.Error(g)
		}
	}
	if n := metric(t, encoders.Traffic); n != 2 {
		t.Errorf("%d reused", n)
	}
}
