package exchange

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func newStandard(serve func(*Request) error) *Server {
	return NewServer(Options{Plane: "edge", IdleTimeout: time.Minute, Log: slog.New(slog.DiscardHandler), Admit: func(*Request) error { return nil }, Serve: serve})
}

// Nothing of one exchange is left in the next that uses the same memory.
func TestStandardReuse(t *testing.T) {
	s := newStandard(func(r *Request) error {
		if string(r.Path()) == "/first" {
			r.SetUserValue("secret", "x")
			r.Response.Header.Set("X-Secret", "x")
			r.Hijack(nil)
			body, err := r.Body(100)
			r.Response.SetBody(body)
			return err
		}
		if r.UserValue("secret") != nil || len(r.Request.Header.Peek("Authorization")) > 0 || len(r.PostBody()) > 0 {
			t.Error("something of the first exchange is there")
		}
		return nil
	})
	for range 100 {
		w, req := httptest.NewRecorder(), httptest.NewRequest("POST", "/first", strings.NewReader("secret"))
		req.Header.Set("Authorization", "x")
		s.ServeHTTP(w, req)
		if w.Body.String() != "secret" {
			t.Fatal(w.Body)
		}
		w = httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("GET", "/second", nil))
		if w.Body.Len() > 0 || w.Header().Get("X-Secret") != "" {
			t.Fatal(w)
		}
	}
}

// discard is a writer of answers that keeps nothing.
type discard struct{ header http.Header }

func (d discard) Header() http.Header             { return d.header }
func (discard) Write(b []byte) (int, error)       { return len(b), nil }
func (discard) WriteHeader(int)                   {}
func (discard) SetWriteDeadline(time.Time) error  { return nil }
func (discard) WriteString(s string) (int, error) { return io.WriteString(io.Discard, s) }

func BenchmarkStandard(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	s := newStandard(func(r *Request) error {
		r.JSON(200, body)
		return nil
	})
	req := httptest.NewRequest("GET", "/a/b?c=d", nil)
	for name, value := range map[string]string{"User-Agent": "test", "Accept": "*/*", "Accept-Encoding": "gzip"} {
		req.Header.Set(name, value)
	}
	b.ReportAllocs()
	w := discard{http.Header{}}
	for b.Loop() {
		clear(w.header)
		s.ServeHTTP(w, req)
	}
}
