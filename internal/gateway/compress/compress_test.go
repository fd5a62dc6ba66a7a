package compress

import (
	"bytes"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/observe"
)

func TestNegotiate(t *testing.T) {
	all := []encoding{zstandard, brotlis, gzips}
	for _, c := range []struct {
		header string
		want   encoding
	}{
		{"", identity}, {"gzip", gzips}, {"GZIP", gzips}, {"x-gzip", gzips}, {"gzip, deflate, br, zstd", zstandard}, {"gzip, br", brotlis},
		{"br;q=0.5, gzip;q=0.8", gzips}, {"br;q=0, gzip", gzips}, {"*", zstandard}, {"*;q=0", identity}, {"zstd;q=0, *", brotlis}, {"gzip;q=0", identity},
		{"identity", identity}, {"identity, gzip;q=0.5", identity}, {"identity;q=0.5, gzip;q=0.5", gzips}, {"identity;q=0, gzip;q=0.001", gzips},
		{"gzip ; q=1.000", gzips}, {"gzip;q=1.001", identity}, {"gzip;q=2", identity}, {"gzip;q=-1", identity}, {"gzip;q=0.0001", identity}, {"gzip;q=", identity},
		{"gzip;level=9", identity}, {"deflate", identity}, {",,gzip,,", gzips}, {"gzip;q=0.5;q=0", identity}, {"gz ip", identity}, {"gzip;q=0.9, br;q=0.9", brotlis},
	} {
		if got := negotiate([][]byte{[]byte(c.header)}, all); got != c.want {
			t.Errorf("%q: %s, want %s", c.header, names[got], names[c.want])
		}
	}
	if got := negotiate([][]byte{[]byte("gzip"), []byte("br")}, all); got != brotlis {
		t.Errorf("two headers: %s", names[got])
	}
	if got := negotiate([][]byte{[]byte("gzip, br, zstd")}, []encoding{gzips, zstandard}); got != gzips {
		t.Errorf("own order: %s", names[got])
	}
}

func FuzzAcceptEncoding(f *testing.F) {
	f.Add("gzip;q=0.5, *;q=0, br")
	f.Add("identity;q=0,;,=")
	all := []encoding{zstandard, brotlis, gzips}
	f.Fuzz(func(t *testing.T, header string) {
		got := negotiate([][]byte{[]byte(header)}, all)
		lower := strings.ToLower(header)
		if got != identity && !strings.Contains(lower, names[got]) && !strings.Contains(lower, "*") {
			t.Fatalf("%q: %s", header, names[got])
		}
	})
}

func TestMedia(t *testing.T) {
	m := newMedia(nil)
	for text, want := range map[string]bool{
		"application/json": true, "Application/JSON; charset=utf-8": true, "text/event-stream": false, "text/html": true, "text/": false, "application/problem+json": true,
		"application/+json": false, "image/png": false, "": false, "application/grpc": false, "application/octet-stream": false, "image/svg+xml": true,
	} {
		if m.has([]byte(text)) != want {
			t.Errorf("%q: not %v", text, want)
		}
	}
	if m := newMedia([]string{"*/*"}); !m.has([]byte("image/png")) {
		t.Error("*/*")
	}
}

func TestWhole(t *testing.T) {
	body := orders(20 << 10)
	for level := range efforts {
		g := serve(t, section(func(c *config.Compress) { c.Level = level }), func(r *exchange.Request) error {
			r.Response.Header.Set("ETag", `"v1"`)
			r.Response.Header.Set("Accept-Ranges", "bytes")
			r.Response.Header.Set("Vary", "Origin")
			r.JSON(200, body)
			return nil
		})
		for _, name := range []string{"zstd", "br", "gzip"} {
			for range 3 { // the encoder is used again
				got, packed := g.ask(t, "GET", name)
				h := got.Header
				if h.Get("Content-Encoding") != name || h.Get("ETag") != `W/"v1"` || h.Get("Vary") != "Origin, Accept-Encoding" || h.Get("Accept-Ranges") != "" || got.ContentLength != int64(len(packed)) {
					t.Fatalf("%s: %v %d", name, h, got.ContentLength)
				}
				plain, err := io.ReadAll(decoderOf(t, name, bytes.NewReader(packed)))
				if err != nil || !bytes.Equal(plain, body) || len(packed) > len(body)/3 {
					t.Fatalf("%s: %d of %d bytes: %v", name, len(packed), len(body), err)
				}
			}
			if got, _ := g.ask(t, "HEAD", name); got.Header.Get("Content-Encoding") != name || got.ContentLength != -1 || got.Header.Get("ETag") != `W/"v1"` {
				t.Errorf("HEAD: %v %d", got.Header, got.ContentLength)
			}
		}
		got, plain := g.ask(t, "GET", "")
		if got.Header.Get("Content-Encoding") != "" || !bytes.Equal(plain, body) || got.Header.Get("ETag") != `"v1"` || got.Header.Get("Vary") != "Origin, Accept-Encoding" {
			t.Errorf("without Accept-Encoding: %v", got.Header)
		}
		if held := g.encoders.held.Load(); held != 0 {
			t.Errorf("%d bytes are held", held)
		}
	}
}

func TestWhatIsNotCompressed(t *testing.T) {
	big := orders(4 << 10)
	noise := make([]byte, 4<<10)
	for i := range noise {
		noise[i] = byte(i*i*31 + i*7)
	}
	for name, c := range map[string]struct {
		vary    bool
		handler exchange.Handler
	}{
		"small": {false, jsonAnswer(big[:config.KiB-1])},
		"picture": {false, func(r *exchange.Request) error {
			r.JSON(200, big)
			r.Response.Header.SetContentType("image/png")
			return nil
		}},
		"encoded": {false, func(r *exchange.Request) error {
			r.JSON(200, big)
			r.Response.Header.SetContentEncoding("br")
			return nil
		}},
		"no-transform": {false, func(r *exchange.Request) error {
			r.JSON(200, big)
			r.Response.Header.Set("Cache-Control", "public, No-Transform")
			return nil
		}},
		"part": {false, func(r *exchange.Request) error {
			r.JSON(206, big)
			r.Response.Header.Set("Content-Range", "bytes 0-1/9")
			return nil
		}},
		"content-range": {false, func(r *exchange.Request) error {
			r.JSON(200, big)
			r.Response.Header.Set("Content-Range", "bytes */9")
			return nil
		}},
		"digest": {false, func(r *exchange.Request) error {
			r.JSON(200, big)
			r.Response.Header.Set("Content-Digest", "sha-256=:x:")
			return nil
		}},
		"nothing": {false, func(r *exchange.Request) error {
			r.Response.SetStatusCode(204)
			r.Response.Header.SetContentType("text/plain")
			return nil
		}},
		"small stream": {false, func(r *exchange.Request) error {
			r.Response.Header.SetContentType("text/plain")
			r.Answer(strings.NewReader("abc"), 3)
			return nil
		}},
		"unchanged": {true, func(r *exchange.Request) error {
			r.Response.SetStatusCode(304)
			r.Response.Header.Set("ETag", `"1"`)
			return nil
		}},
	} {
		g := serve(t, section(nil), c.handler)
		got, _ := g.ask(t, "GET", "gzip, br, zstd", "If-None-Match", `W/"1"`)
		encoding := got.Header.Get("Content-Encoding")
		if name == "encoded" && encoding == "br" {
			encoding = ""
		}
		if encoding != "" || (got.Header.Get("Vary") != "") != c.vary {
			t.Errorf("%s: %v", name, got.Header)
		}
		if tag := got.Header.Get("ETag"); name == "unchanged" && tag != `W/"1"` {
			t.Errorf("the tag of a 304 is %s", tag)
		}
	}
	// At the edge of min_size: compressed. Without gain: not.
	if got, _ := serve(t, section(nil), jsonAnswer(big[:config.KiB])).ask(t, "GET", "gzip"); got.Header.Get("Content-Encoding") != "gzip" {
		t.Error("a body of min_size is not compressed")
	}
	rnd := serve(t, section(nil), func(r *exchange.Request) error { r.JSON(200, encode(t, "zstd", orders(40<<10))); return nil })
	if got, _ := rnd.ask(t, "GET", "gzip"); got.Header.Get("Content-Encoding") != "" {
		t.Error("a body that gets longer is sent compressed")
	}
}

// TestStream sends pieces one by one: each must come while the body waits for the next.
func TestStream(t *testing.T) {
	for _, name := range []string{"zstd", "br", "gzip"} {
		for _, media := range []string{"text/event-stream", "application/x-ndjson"} {
			source := &pieces{from: make(chan string)}
			closed := make(chan struct{})
			g := serve(t, section(func(c *config.Compress) { c.Types = []string{media} }), func(r *exchange.Request) error {
				r.Response.Header.SetContentType(media)
				r.Answer(struct {
					io.Reader
					io.Closer
				}{source, closer(func() { close(closed) })}, -1)
				return nil
			})
			first := "data: first\n\n"
			go func() { source.from <- first }()
			q, _ := http.NewRequest("GET", g.url, nil)
			q.Header.Set("Accept-Encoding", name)
			got, err := plainly.Do(q)
			must(t, err)
			if got.Header.Get("Content-Encoding") != name {
				t.Fatal(got.Header)
			}
			from := decoderOf(t, name, got.Body)
			buffer := make([]byte, 1<<20)
			for i, want := range []string{first, "data: second\n\n", strings.Repeat("data: long\n", 20000), "x"} {
				if i > 0 {
					source.from <- want
				}
				if _, err := io.ReadFull(from, buffer[:len(want)]); err != nil || string(buffer[:len(want)]) != want {
					t.Fatalf("%s piece %d: %v", name, i, err)
				}
			}
			close(source.from)
			if rest, err := io.ReadAll(from); err != nil || len(rest) > 0 {
				t.Fatalf("the end: %q %v", rest, err)
			}
			got.Body.Close()
			<-closed
			if held := g.encoders.held.Load(); held != 0 {
				t.Errorf("%d bytes are held", held)
			}
		}
	}
}

type closer func()

func (c closer) Close() error { c(); return nil }

// TestBrokenStream: a body that breaks must not look complete.
func TestBrokenStream(t *testing.T) {
	for _, name := range []string{"zstd", "br", "gzip"} {
		g := serve(t, section(nil), func(r *exchange.Request) error {
			r.Response.Header.SetContentType("text/plain")
			r.Answer(io.MultiReader(strings.NewReader(strings.Repeat("a", 5000)), broken{}), -1)
			return nil
		})
		q, _ := http.NewRequest("GET", g.url, nil)
		q.Header.Set("Accept-Encoding", name)
		got, err := plainly.Do(q)
		must(t, err)
		if _, err := io.ReadAll(decoderOf(t, name, got.Body)); err == nil {
			t.Errorf("%s: the answer looks complete", name)
		}
		got.Body.Close()
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// TestMemory: streams pass as they are beyond half of the memory, which they may hold for long, and whole bodies still find some.
func TestMemory(t *testing.T) {
	source := &pieces{from: make(chan string)}
	body := orders(10 << 10)
	g := serve(t, section(func(c *config.Compress) { c.Memory = config.Size(2 * efforts["fast"][gzips].held) }), func(r *exchange.Request) error {
		if len(r.QueryArgs().Peek("stream")) > 0 {
			r.Response.Header.SetContentType("text/plain")
			r.Answer(source, -1)
			if string(r.QueryArgs().Peek("stream")) == "2" {
				r.Answer(bytes.NewReader(body), -1)
			}
			return nil
		}
		r.JSON(200, body)
		return nil
	})
	q, _ := http.NewRequest("GET", g.url+"?stream=1", nil)
	q.Header.Set("Accept-Encoding", "gzip")
	go func() { source.from <- "x" }()
	got, err := plainly.Do(q)
	must(t, err)
	g.url += "?stream=2"
	if got, _ := g.ask(t, "GET", "gzip"); got.Header.Get("Content-Encoding") != "" {
		t.Error("compressed beyond the memory")
	}
	g.url = strings.TrimSuffix(g.url, "?stream=2")
	if got, _ := g.ask(t, "GET", "gzip"); got.Header.Get("Content-Encoding") != "gzip" {
		t.Error("streams took the memory of whole bodies")
	}
	close(source.from)
	_, _ = io.Copy(io.Discard, got.Body)
	got.Body.Close()
	for deadline := time.Now().Add(5 * time.Second); g.encoders.held.Load() != 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatal("memory is still held")
		}
	}
	if got, _ := g.ask(t, "GET", "gzip"); got.Header.Get("Content-Encoding") != "gzip" {
		t.Error("not compressed with memory that is free again")
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(g.encoders.Traffic)
	must(t, observe.CheckNames(registry))
}

// TestMemoryOfEncoders holds what efforts claims against what encoders take.
func TestMemoryOfEncoders(t *testing.T) {
	body := orders(768 << 10)
	s := NewEncoders()
	for level := range efforts {
		for e := zstandard; e < encodings; e++ {
			var before, after runtime.MemStats
			const several = 2
			var kept []*stream
			runtime.GC()
			runtime.GC()
			runtime.ReadMemStats(&before)
			for range several {
				z := newStream(bytes.NewReader(body), s.get(level, e, 1<<40))
				for i, p := 0, make([]byte, piece); i < 200; i++ {
					if _, err := z.Read(p); err != nil {
						break
					}
				}
				kept = append(kept, z)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			held := int64(after.HeapAlloc-before.HeapAlloc) / several
			t.Logf("%s %s: %d KiB", level, names[e], held>>10)
			if most := efforts[level][e].held; held > most || held < most/3 {
				t.Errorf("%s %s holds %d KiB, and %d are counted", level, names[e], held>>10, most>>10)
			}
			for _, z := range kept {
				_ = z.Close()
			}
		}
	}
}

func BenchmarkWhole(b *testing.B) {
	body := orders(10 << 10)
	s := NewEncoders()
	for _, level := range []string{"fast", "balanced", "small"} {
		for e := zstandard; e < encodings; e++ {
			b.Run(level+"/"+names[e], func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(int64(len(body)))
				n := 0
				for b.Loop() {
					c := s.get(level, e, 1<<40)
					n = len(c.whole(body))
					c.put()
				}
				b.ReportMetric(float64(len(body))/float64(n), "ratio")
			})
		}
	}
}

// BenchmarkEvents is the latency of one server-sent event through the encoder, and what it saves.
func BenchmarkEvents(b *testing.B) {
	event := "event: price\ndata: {\"symbol\":\"HEAD\",\"price\":101.25,\"time\":\"2026-01-01T00:00:00Z\"}\n\n"
	s := NewEncoders()
	for e := zstandard; e < encodings; e++ {
		b.Run(names[e], func(b *testing.B) {
			source := strings.NewReader("")
			z := newStream(source, s.get("fast", e, 1<<40))
			defer z.Close()
			p := make([]byte, piece)
			out := 0
			b.ReportAllocs()
			for b.Loop() {
				source.Reset(event)
				n, err := z.Read(p)
				if err != nil {
					b.Fatal(err)
				}
				out += n
			}
			b.ReportMetric(float64(out)/float64(b.N)/float64(len(event)), "of-size")
		})
	}
}

func BenchmarkNegotiate(b *testing.B) {
	headers := [][]byte{[]byte("gzip, deflate, br, zstd")}
	offered := []encoding{zstandard, brotlis, gzips}
	b.ReportAllocs()
	for b.Loop() {
		negotiate(headers, offered)
	}
}
