package cache

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// many asks at the same time and returns the answers.
func (r *rig) many(n int, path string) []got {
	list := make([]got, n)
	var group sync.WaitGroup
	for i := range list {
		group.Go(func() {
			g, err := r.try("GET", path)
			if err != nil {
				r.t.Error(err)
			}
			list[i] = g
		})
	}
	group.Wait()
	return list
}

// Requests that came while the upstream was being asked are not asked for again.
func TestCollapsing(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		<-release
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "one")
	})
	go func() {
		defer close(release)
		until(t, "all have come", func() bool { return r.asked.Load() > 0 && r.begun.Load() == 50 })
	}()
	collapsed := 0
	for _, g := range r.many(50, "/") {
		if g.body != "one" {
			t.Error(g)
		}
		if g.cache() == "headrace; fwd=miss; collapsed" {
			collapsed++
		}
	}
	if n := r.asked.Load(); n != 1 || collapsed < 25 {
		t.Error(n, collapsed)
	}
}

// Answers that turn out not to be kept do not queue up: all are asked for at the same time as soon as the first head is there.
func TestUncacheableIsNotSerialised(t *testing.T) {
	var inside, most atomic.Int64
	gate := make(chan struct{})
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.(http.Flusher).Flush()
		n := inside.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		if n == 20 {
			close(gate)
		}
		<-gate // until all are there
		fmt.Fprint(w, "own")
	})
	for _, g := range r.many(20, "/") {
		if g.body != "own" {
			t.Error(g)
		}
	}
	if most.Load() != 20 {
		t.Error(most.Load())
	}
	if g := r.get("/"); !strings.Contains(g.cache(), "detail=unkept") {
		t.Error(g)
	}
}

// A request whose answer is its own alone changes nothing for others: neither what is kept nor whether it is.
func TestOwnAnswersLeaveOthersAlone(t *testing.T) {
	for name, own := range map[string][]string{
		"authorization":           {"Authorization", "x"},
		"authorization, no-cache": {"Authorization", "x", "Cache-Control", "no-cache"},
		"identity":                {"X-User", "ann"},
		"no-store":                {"Cache-Control", "no-store, max-age=0"},
	} {
		for _, validator := range []string{"", `"v1"`} {
			t.Run(name+validator, func(t *testing.T) {
				r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
					w.Header().Set("Cache-Control", "max-age=60")
					if validator != "" {
						w.Header().Set("Etag", validator)
						if q.Header.Get("If-None-Match") == validator {
							w.WriteHeader(304)
							return
						}
					}
					fmt.Fprint(w, "same")
				})
				r.expect("miss", r.get("/", own...), "same")
				if g := r.get("/"); g.cache() != "headrace; fwd=uri-miss; stored" {
					t.Error(g)
				}
				r.expect("hit", r.get("/"), "same")
				for range 2 {
					if g := r.get("/", own...); g.status != 200 || g.body != "same" {
						t.Error(g)
					}
					r.expect("hit", r.get("/"), "same")
				}
			})
		}
	}
}

// That answers are not kept stops the waiting and not the keeping: the first one that may be kept is.
func TestUnkeptIsOverWithAKeptAnswer(t *testing.T) {
	var keep atomic.Bool
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		if keep.Load() {
			w.Header().Set("Cache-Control", "max-age=60")
		}
		if q.Header.Get("If-None-Match") != "" {
			w.WriteHeader(304)
			return
		}
		fmt.Fprint(w, "x")
	})
	r.get("/")
	if g := r.get("/"); g.cache() != "headrace; fwd=miss; detail=unkept" {
		t.Error(g)
	}
	if g := r.get("/", "If-None-Match", `"mine"`); g.status != 304 { // the upstream compares what is kept nowhere
		t.Error(g)
	}
	keep.Store(true)
	if g := r.get("/"); g.cache() != "headrace; fwd=miss; stored" {
		t.Error(g)
	}
	r.expect("hit", r.get("/"), "x")
}

// Those who show who they are do not wait for each other once their answers turn out to be their own.
func TestOwnAnswersAreNotSerialised(t *testing.T) {
	r := newRig(t, defaults(), counting("Cache-Control", "max-age=60"))
	r.get("/", "Authorization", "x")
	if g := r.get("/", "Authorization", "y"); !strings.Contains(g.cache(), "detail=unkept") {
		t.Error(g)
	}
}

// A request waits for another no longer than it may.
func TestWaitIsBounded(t *testing.T) {
	c := defaults()
	c.Wait = 20 * time.Millisecond
	first := make(chan struct{})
	var n atomic.Int64
	r := newRig(t, c, func(w http.ResponseWriter, q *http.Request) {
		if n.Add(1) == 1 {
			<-first
		}
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprint(w, "x")
	})
	done := make(chan got, 1)
	go func() { g, _ := r.try("GET", "/"); done <- g }()
	until(t, "the upstream is asked", func() bool { return r.asked.Load() == 1 })
	if g := r.get("/"); !strings.Contains(g.cache(), "waited") || g.body != "x" {
		t.Error(g)
	}
	close(first)
	<-done
}

// A body streams to the client while it is kept; one that is too large, or breaks off, is not kept.
func TestStreaming(t *testing.T) {
	c := defaults()
	c.MaxBody = 300 * config.KiB
	half := make(chan struct{})
	size := 200 << 10
	r := newRig(t, c, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		if q.URL.Path == "/length" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		chunk := bytes.Repeat([]byte("0123456789abcdef"), 1024)
		for n := 0; n < size; n += len(chunk) {
			if n == size/2 {
				w.(http.Flusher).Flush()
				<-half
				if q.URL.Path == "/broken" {
					panic(http.ErrAbortHandler)
				}
			}
			_, _ = w.Write(chunk[:min(len(chunk), size-n)])
		}
	})
	size = 256 << 10
	a, err := client.Get(r.url + "/chunked")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(a.Body, make([]byte, 64<<10)); err != nil { // it is there before the rest
		t.Fatal(err)
	}
	close(half)
	rest, err := io.ReadAll(a.Body)
	a.Body.Close()
	if err != nil || len(rest) != size-64<<10 {
		t.Fatal(len(rest), err)
	}
	g := r.get("/chunked")
	if r.expect("hit", g, ""); len(g.body) != size || g.body[:16] != "0123456789abcdef" {
		t.Error(len(g.body))
	}
	r.expect("miss", r.get("/length"), "")
	r.expect("hit", r.get("/length"), "")
	if _, err := r.try("GET", "/broken"); err == nil {
		t.Error("it is whole")
	}
	if g, err := r.try("GET", "/broken"); err == nil {
		t.Error(g.cache())
	}
	size = 400 << 10
	for range 2 {
		if g := r.get("/large"); len(g.body) != size || strings.Contains(g.cache(), "hit") {
			t.Error(len(g.body), g.cache())
		}
	}
	until(t, "no memory is counted", func() bool { return r.store.filling.Load() == 0 })
}

func TestStaleWhileRevalidate(t *testing.T) {
	c := defaults()
	c.StaleWhileRevalidate = time.Hour
	r := newRig(t, c, func(w http.ResponseWriter, q *http.Request) {})
	var n atomic.Int64
	gate := make(chan struct{}, 10)
	r.upstream.Store(new(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		i := n.Add(1)
		if i > 1 {
			<-gate
		}
		w.Header().Set("Etag", fmt.Sprintf(`"%d"`, i))
		w.Header().Set("Cache-Control", fmt.Sprintf("max-age=%d", (i-1)*60))
		fmt.Fprint(w, i)
	})))
	r.get("/")
	for range 5 { // none waits for the upstream, and one asks it
		if g := r.get("/"); g.body != "1" || !strings.HasPrefix(g.cache(), "headrace; hit; ttl=") {
			t.Error(g)
		}
	}
	gate <- struct{}{}
	until(t, "it is fresh", func() bool { return r.get("/").body == "2" })
	if r.asked.Load() != 2 {
		t.Error(r.asked.Load())
	}
	// must-revalidate forbids it
	r.upstream.Store(new(counting("Cache-Control", "max-age=0, must-revalidate", "Etag", `"x"`)))
	r.get("/must")
	r.expect("miss", r.get("/must"), "2")
	r.expect("miss", r.get("/", "Cache-Control", "no-cache"), "3")
}

func TestStaleIfError(t *testing.T) {
	c := defaults()
	r := newRig(t, c, counting("Cache-Control", "max-age=0, stale-if-error=600", "Etag", `"x"`))
	r.get("/")
	r.upstream.Store(new(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(503) })))
	for range 2 {
		if g := r.get("/"); g.status != 200 || g.body != "1" || !strings.Contains(g.cache(), "hit; detail=error; ttl=") {
			t.Error(g)
		}
	}
	r.upstream.Store(new(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { panic(http.ErrAbortHandler) })))
	if g := r.get("/"); g.status != 200 || g.body != "1" {
		t.Error(g)
	}
	if g := r.get("/other"); g.status != 503 {
		t.Error(g)
	}
	r.upstream.Store(new(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { w.WriteHeader(404) })))
	if g := r.get("/"); g.status != 404 {
		t.Error(g)
	}
}

// What an upstream that fails says, those hear who waited for it; nobody asks it once more.
func TestFailureIsShared(t *testing.T) {
	release := make(chan struct{})
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) { <-release; panic(http.ErrAbortHandler) })
	go func() {
		defer close(release)
		until(t, "all have come", func() bool { return r.asked.Load() > 0 && r.begun.Load() >= 20 })
	}()
	for _, g := range r.many(20, "/") {
		if g.status != 503 {
			t.Error(g)
		}
	}
	if n := r.asked.Load(); n > 12 { // the client of this test asks twice itself where a connection breaks
		t.Error(n)
	}
}

// The store stays within its memory, and what is asked for often stays in it.
func TestMemoryIsBounded(t *testing.T) {
	r := newRig(t, defaults(), func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Cache-Control", "max-age=600")
		_, _ = w.Write(make([]byte, 32<<10))
	})
	s := NewStore(2 * config.MiB)
	t.Cleanup(s.Close)
	for i := range 1000 {
		s.kept.Set(id{uint64(i), 1}, &entry{body: make([]byte, 32<<10)})
		s.kept.GetIfPresent(id{1, 1})
	}
	st := s.Stats()
	if st.Bytes > 2<<20 || st.Entries < 32 || st.Evicted < 900 {
		t.Errorf("%+v", st)
	}
	r.get("/")
	r.get("/")
	if st := r.store.Stats(); st.Entries != 1 || st.Routes["/*"] != (Counts{Hit: 1, Miss: 1}) || st.Bytes < 32<<10 {
		t.Errorf("%+v", st)
	}
}
