package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// Pieces of an answer are on their way at once, and its trailers follow.
func TestStreamsPieces(t *testing.T) {
	next := make(chan string)
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Trailer", "X-Sum")
		w.WriteHeader(200)
		_ = http.NewResponseController(w).Flush()
		for piece := range next {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
		}
		w.Header().Set("X-Sum", "7")
	})
	g := start(t, options{route: config.Route{Proxy: address}})
	req, _ := http.NewRequest("GET", "http://"+g.address, nil)
	req.Header.Set("TE", "trailers")
	got, err := (&http.Client{Timeout: 20 * time.Second}).Do(req) // the head comes before the first piece
	if err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(got.Body)
	for i := range 5 {
		next <- fmt.Sprintf("data: %d\n", i)
		if line, err := r.ReadString('\n'); err != nil || line != fmt.Sprintf("data: %d\n", i) {
			t.Fatal(line, err)
		}
	}
	close(next)
	if rest, err := io.ReadAll(r); len(rest) > 0 || err != nil || got.Trailer.Get("X-Sum") != "7" {
		t.Error(rest, err, got.Trailer)
	}
}

// An answer that breaks off is not given as a whole one.
func TestCutAnswers(t *testing.T) {
	for _, answer := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\nhello",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n",
	} {
		g := start(t, options{route: config.Route{Proxy: raw(t, func(c net.Conn, r *bufio.Reader) {
			_, _ = readHead(r)
			_, _ = io.WriteString(c, answer)
		})}})
		got, err := http.Get("http://" + g.address)
		if err != nil { // not even the head had been sent
			continue
		}
		if body, err := io.ReadAll(got.Body); err == nil {
			t.Errorf("%q: %q is taken for whole", answer, body)
		}
		_ = got.Body.Close()
	}
}

// The body of a request goes on as it comes, and an answer before its end reaches the client.
func TestStreamsRequests(t *testing.T) {
	came := make(chan string)
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/early" {
			http.Error(w, "no", 403)
			return
		}
		b := make([]byte, 100)
		for {
			n, err := r.Body.Read(b)
			if n > 0 {
				came <- string(b[:n])
			}
			if err != nil {
				break
			}
		}
		fmt.Fprint(w, "done")
	})
	g := start(t, options{route: config.Route{Proxy: address}})
	body, to := io.Pipe()
	answered := make(chan string)
	go func() {
		got, err := http.Post("http://"+g.address, "x", body)
		if err != nil {
			answered <- err.Error()
			return
		}
		b, _ := io.ReadAll(got.Body)
		answered <- string(b)
	}()
	for i := range 5 {
		_, _ = fmt.Fprint(to, i)
		if got := <-came; got != fmt.Sprint(i) {
			t.Error(got)
		}
	}
	_ = to.Close()
	if got := <-answered; got != "done" {
		t.Error(got)
	}
	c, r := dial(t, g)
	go func() {
		_, _ = io.WriteString(c, "POST /early HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000000\r\n\r\n")
		_, _ = io.Copy(c, zeros{})
	}()
	if got, err := http.ReadResponse(r, nil); err != nil || got.StatusCode != 403 {
		t.Error(got, err)
	}
}

// An answer may take longer than the server grants for one that it has whole.
func TestLongAnswers(t *testing.T) {
	t.Parallel()
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		for range 15 {
			_, _ = io.WriteString(w, strings.Repeat("x", 100))
			_ = http.NewResponseController(w).Flush()
			<-time.After(100 * time.Millisecond)
		}
	})
	g := start(t, options{route: config.Route{Proxy: address}, idle: time.Second})
	got, err := http.Get("http://" + g.address)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := io.ReadAll(got.Body); len(body) != 1500 || err != nil {
		t.Error(len(body), err)
	}
}

// HEAD, 204 and 304 have no body, whatever they say of it.
func TestBodiless(t *testing.T) {
	address := raw(t, func(c net.Conn, r *bufio.Reader) {
		for {
			head, err := readHead(r)
			if err != nil {
				return
			}
			switch {
			case strings.HasPrefix(head, "HEAD"):
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 7\r\nETag: a\r\n\r\n")
			case strings.Contains(head, "/204"):
				_, _ = io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n")
			default:
				_, _ = io.WriteString(c, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\nETag: a\r\n\r\n")
			}
		}
	})
	g := start(t, options{route: config.Route{Proxy: address}})
	c, r := dial(t, g)
	for _, request := range []string{"HEAD /", "GET /204", "GET /304", "GET /204"} {
		_, _ = io.WriteString(c, request+" HTTP/1.1\r\nHost: h\r\n\r\n")
		head, err := readHead(r)
		if err != nil || strings.Contains(head, "Content-Length") == strings.HasSuffix(request, "/204") || r.Buffered() > 0 {
			t.Fatal(request, head, err)
		}
	}
}

// TestMemory passes large bodies on, 2 GiB each way with HEADRACE_LARGE=2048, and looks at the memory of the process.
func TestMemory(t *testing.T) {
	size := int64(32 << 20) // twice of what may be in use
	if text := os.Getenv("HEADRACE_LARGE"); text != "" {
		var mb int64
		_, _ = fmt.Sscan(text, &mb)
		size = mb << 20
	}
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" {
			n, err := io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, n, err)
			return
		}
		if r.URL.Path == "/known" {
			w.Header().Set("Content-Length", fmt.Sprint(size))
		}
		_, _ = io.Copy(w, io.LimitReader(zeros{}, size))
	})
	g := start(t, options{route: config.Route{Proxy: address}})
	for range 2 { // what is needed once
		if got, err := http.Get("http://" + g.address + "/known"); err == nil {
			_, _ = io.CopyN(io.Discard, got.Body, 1<<20)
			_ = got.Body.Close()
		}
	}
	before := resident(t)
	for _, path := range []string{"/known", "/chunked"} {
		began := time.Now()
		got, err := http.Get("http://" + g.address + path)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, got.Body); n != size || err != nil {
			t.Error(path, n, err)
		}
		_ = got.Body.Close()
		t.Logf("%s: %d MiB down in %s, %d KiB more", path, size>>20, time.Since(began).Round(time.Millisecond), (resident(t)-before)>>10)
	}
	for _, known := range []int64{size, -1} {
		began := time.Now()
		req, _ := http.NewRequest("POST", "http://"+g.address, io.LimitReader(zeros{}, size))
		req.ContentLength = known
		got, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if body, _ := io.ReadAll(got.Body); string(body) != fmt.Sprint(size, " <nil>") && string(body) != fmt.Sprint(size, nil) {
			t.Errorf("%s", body)
		}
		_ = got.Body.Close()
		t.Logf("length %d: %d MiB up in %s, %d KiB more", known, size>>20, time.Since(began).Round(time.Millisecond), (resident(t)-before)>>10)
	}
	if grown := resident(t) - before; grown > 16<<20 {
		t.Errorf("%d KiB more", grown>>10)
	}
}

func resident(t testing.TB) int64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip(err)
	}
	var all, pages int64
	_, _ = fmt.Sscan(string(b), &all, &pages)
	return pages * int64(os.Getpagesize())
}

// An answer that refuses a body reaches a client that has stopped sending it, and one that does not read before it has sent it.
func TestRefusesBodies(t *testing.T) {
	t.Parallel()
	for _, announced := range []string{"Content-Length: 50000000", "Transfer-Encoding: chunked"} {
		for _, interim := range []string{"", "HTTP/1.1 100 Continue\r\n\r\n"} {
			g := start(t, options{route: config.Route{Proxy: raw(t, func(c net.Conn, r *bufio.Reader) {
				_, _ = readHead(r)
				_, _ = io.WriteString(c, interim+"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno\n")
				_, _ = io.Copy(io.Discard, r)
			})}})
			piece := "10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n"
			for _, pieces := range []int{1, 2, 300} {
				c, r := dial(t, g)
				fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n", announced)
				for range pieces {
					if _, err := io.WriteString(c, piece); err != nil {
						t.Fatal(announced, pieces, err)
					}
				}
				begun := time.Now()
				got, err := http.ReadResponse(r, nil)
				if err != nil || got.StatusCode != 413 || time.Since(begun) > 5*time.Second {
					t.Fatal(announced, pieces, got, err, time.Since(begun))
				}
				_ = c.Close()
			}
		}
	}
}
