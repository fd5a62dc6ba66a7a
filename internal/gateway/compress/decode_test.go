package compress

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

func post(t *testing.T, url, encoding string, body io.Reader) (int, string, []byte) {
	t.Helper()
	q, err := http.NewRequest("POST", url, body)
	must(t, err)
	q.Header.Set("Content-Encoding", encoding)
	q.Header.Set("Accept-Encoding", "identity")
	got, err := plainly.Do(q)
	must(t, err)
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	must(t, err)
	var p struct{ Code string }
	_ = json.Unmarshal(text, &p)
	return got.StatusCode, p.Code, text
}

// echo answers with the body and how it was announced.
func echo(limit int64) exchange.Handler {
	return func(r *exchange.Request) error {
		r.Response.Header.Set("X-Length", strconv.FormatInt(r.Length(), 10))
		body, err := r.Body(limit)
		if err != nil {
			return err
		}
		r.Response.Header.SetContentType("application/octet-stream")
		r.Response.SetBody(body)
		return nil
	}
}

func TestDecode(t *testing.T) {
	on := section(func(c *config.Compress) { c.Decompress = true })
	for _, size := range []int{1, 3000, 300 << 10} { // in the head's buffer, and streaming
		body := orders(300 << 10)[:size]
		g := serve(t, on, echo(max(int64(size), 64))) // what comes counts as well
		for _, name := range []string{"zstd", "br", "gzip"} {
			packed := encode(t, name, body)
			for range 2 {
				if status, code, got := post(t, g.url, name, bytes.NewReader(packed)); status != 200 || !bytes.Equal(got, body) {
					t.Fatalf("%s of %d: %d %s", name, size, status, code)
				}
				if status, code, got := post(t, g.url, name, struct{ io.Reader }{bytes.NewReader(packed)}); status != 200 || !bytes.Equal(got, body) {
					t.Fatalf("%s of %d in chunks: %d %s", name, size, status, code)
				}
			}
			if size > 1 { // one byte over the limit of the route
				small := serve(t, on, echo(int64(size-1)))
				if status, code, _ := post(t, small.url, name, bytes.NewReader(packed)); status != 413 || code != "HR1003" {
					t.Errorf("%s of %d: %d %s", name, size, status, code)
				}
				if status, code, _ := post(t, g.url, name, bytes.NewReader(packed[:len(packed)-1])); status != 400 || code != "HR4082" {
					t.Errorf("%s that is cut: %d %s", name, status, code)
				}
			}
			if status, code, _ := post(t, g.url, name, bytes.NewReader([]byte("no such thing"))); status != 400 && status != 413 || code != "HR4082" && code != "HR1003" {
				t.Errorf("%s that is none: %d %s", name, status, code)
			}
		}
		if held := g.encoders.held.Load(); held != 0 {
			t.Errorf("%d bytes are held", held)
		}
		if status, code, _ := post(t, g.url, "deflate", bytes.NewReader(body)); status != 415 || code != "HR1008" {
			t.Errorf("deflate: %d %s", status, code)
		}
		if status, code, _ := post(t, g.url, "gzip, br", bytes.NewReader(body)); status != 415 || code != "HR1008" {
			t.Errorf("two encodings: %d %s", status, code)
		}
	}
	off := serve(t, section(nil), echo(1<<20))
	if status, code, _ := post(t, off.url, "gzip", bytes.NewReader(encode(t, "gzip", orders(100)))); status != 415 || code != "HR1008" {
		t.Errorf("without decompress: %d %s", status, code)
	}
}

func TestBomb(t *testing.T) {
	bomb := make([]byte, 8<<20)
	g := serve(t, section(func(c *config.Compress) { c.Decompress, c.MaxRatio = true, 50 }), echo(100<<20))
	for _, name := range []string{"zstd", "br", "gzip"} {
		if status, code, _ := post(t, g.url, name, bytes.NewReader(encode(t, name, bomb))); status != 413 || code != "HR4080" {
			t.Errorf("%s: %d %s", name, status, code)
		}
	}
	if held := g.encoders.held.Load(); held != 0 {
		t.Errorf("%d bytes are held", held)
	}
	tight := serve(t, section(func(c *config.Compress) { c.Decompress, c.Memory = true, 4*config.MiB }), echo(1<<20))
	if status, code, _ := post(t, tight.url, "br", bytes.NewReader(encode(t, "br", orders(100)))); status != 503 || code != "HR4081" {
		t.Errorf("without memory: %d %s", status, code)
	}
	if status, _, _ := post(t, tight.url, "gzip", bytes.NewReader(encode(t, "gzip", orders(100)))); status != 200 {
		t.Errorf("with memory: %d", status)
	}
}

// TestKeep: a body that was looked at on its way can be read again, decoded.
func TestKeep(t *testing.T) {
	body := orders(100 << 10)
	g := serve(t, section(func(c *config.Compress) { c.Decompress = true }), func(r *exchange.Request) error {
		first, err := r.Keep(1 << 20)
		if err != nil {
			return err
		}
		if r.Length() != int64(len(first)) {
			t.Errorf("length %d of %d", r.Length(), len(first))
		}
		return echo(1 << 20)(r)
	})
	for range 3 { // on one connection
		for _, packed := range [][]byte{encode(t, "gzip", body), encode(t, "gzip", body[:100])} {
			if status, code, got := post(t, g.url, "gzip", bytes.NewReader(packed)); status != 200 || !bytes.HasPrefix(body, got) || len(got) < 100 {
				t.Fatal(status, code)
			}
		}
		if status, code, got := post(t, g.url, "identity", struct{ io.Reader }{bytes.NewReader(body)}); status != 200 || !bytes.Equal(got, body) {
			t.Fatal(status, code)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for e := zstandard; e < encodings; e++ {
		f.Add(byte(e), encode(f, names[e], []byte("hello hello hello")))
	}
	set := NewEncoders()
	f.Fuzz(func(t *testing.T, e byte, body []byte) {
		d := &decoder{set: set, encoding: encoding(e%3) + 1, ratio: 10, memory: 1 << 30}
		d.from.Reader = bytes.NewReader(body)
		n, err := io.Copy(io.Discard, d)
		if n > free+10*int64(len(body)) {
			t.Fatalf("%d bytes of %d: %v", n, len(body), err)
		}
		d.release()
		if held := set.held.Load(); held != 0 {
			t.Fatalf("%d bytes are held", held)
		}
	})
}
