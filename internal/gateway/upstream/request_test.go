package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// echo reads requests with net/http and answers with what they say about themselves.
func echo(_ int, conn net.Conn, from *bufio.Reader) {
	for {
		r, err := http.ReadRequest(from)
		if err != nil {
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		said := fmt.Sprintf("%s %d %v %d %v %s %s", r.Method, r.ContentLength, r.TransferEncoding, n, err == nil,
			strings.Join(r.Header["Connection"], "; "), strings.Join(r.Header["Te"], "; "))
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(said), said)
		if err != nil {
			return
		}
	}
}

func TestRequests(t *testing.T) {
	address := script(t, echo)
	of := func(method string, change func(*Call)) *Call {
		call := whether(method, "")
		change(call)
		return call
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	for name, test := range map[string]struct {
		call *Call
		want string
	}{
		"none":             {of("GET", func(*Call) {}), "GET 0 [] 0 true  "},
		"POST of nothing":  {of("POST", func(*Call) {}), "POST 0 [] 0 true  "},
		"empty":            {of("GET", func(c *Call) { c.Whole = []byte{} }), "GET 0 [] 0 true  "},
		"whole":            {of("POST", func(c *Call) { c.Whole = []byte("data") }), "POST 4 [] 4 true  "},
		"whole, large":     {of("PUT", func(c *Call) { c.Whole = big }), "PUT 2097152 [] 2097152 true  "},
		"length":           {of("POST", func(c *Call) { c.Body, c.Length = strings.NewReader("data"), 4 }), "POST 4 [] 4 true  "},
		"length 0":         {of("POST", func(c *Call) { c.Body = strings.NewReader("data") }), "POST 0 [] 0 true  "},
		"longer than said": {of("POST", func(c *Call) { c.Body, c.Length = strings.NewReader("database"), 4 }), "POST 4 [] 4 true  "},
		"length, large":    {of("POST", func(c *Call) { c.Body, c.Length = bytes.NewReader(big), 2<<20 }), "POST 2097152 [] 2097152 true  "},
		"length, by bytes": {of("POST", func(c *Call) { c.Body, c.Length = iotest.OneByteReader(bytes.NewReader(big[:3000])), 3000 }), "POST 3000 [] 3000 true  "},
		"chunked":          {of("POST", func(c *Call) { c.Body, c.Length = strings.NewReader("data"), -1 }), "POST -1 [chunked] 4 true  "},
		"chunked, nothing": {of("POST", func(c *Call) { c.Body, c.Length = strings.NewReader(""), -1 }), "POST -1 [chunked] 0 true  "},
		"chunked, large":   {of("POST", func(c *Call) { c.Body, c.Length = bytes.NewReader(big), -1 }), "POST -1 [chunked] 2097152 true  "},
		"chunked, by bytes": {of("POST", func(c *Call) {
			c.Body, c.Length = iotest.DataErrReader(iotest.OneByteReader(bytes.NewReader(big[:300]))), -1
		}),
			"POST -1 [chunked] 300 true  "},
		"trailers": {of("GET", func(c *Call) { c.TE = true }), "GET 0 [] 0 true TE trailers"},
		"upgrade":  {of("GET", func(c *Call) { c.Upgrade = true }), "GET 0 [] 0 true upgrade "},
		"both":     {of("GET", func(c *Call) { c.Upgrade, c.TE = true, true }), "GET 0 [] 0 true upgrade, TE trailers"},
		"long head": {of("POST", func(c *Call) {
			c.Head = slices.Concat(c.Head, []byte("X-Long: "+strings.Repeat("a", bufferSize)+"\r\n"))
			c.Whole = []byte("data")
		}), "POST 4 [] 4 true  "},
		"head that fills a buffer": {of("POST", func(c *Call) {
			c.Head = slices.Concat(c.Head, []byte("X-Long: "+strings.Repeat("a", bufferSize-frameSize-len(c.Head)-10)+"\r\n"))
			c.Body, c.Length = strings.NewReader("data"), 4
		}), "POST 4 [] 4 true  "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := client(t, Options{Address: address, MaxIdle: 1})
			again := test.call.Body == nil
			ask(t, c, test.call, test.want)
			if again {
				ask(t, c, test.call, test.want)
			}
			if s := c.Stats(); s.Idle != 1 || s.Dials != 1 {
				t.Errorf("%+v", s)
			}
		})
	}
}

func TestNothingIsKept(t *testing.T) {
	c := client(t, Options{Address: script(t, echo)})
	ask(t, c, get("/"), "GET 0 [] 0 true close ")
	ask(t, c, &Call{Head: get("/").Head, Method: []byte("GET"), TE: true}, "GET 0 [] 0 true close, TE trailers")
}

func TestSourceFails(t *testing.T) {
	c := client(t, Options{Address: script(t, echo), MaxIdle: 1})
	broke := errors.New("the client is gone")
	for _, length := range []int64{10, -1} {
		e := refused(t, c, post(io.MultiReader(strings.NewReader("data"), iotest.ErrReader(broke)), length), Source)
		if !errors.Is(e, broke) || !e.Sent {
			t.Errorf("%+v", e)
		}
	}
	if e := refused(t, c, post(iotest.ErrReader(broke), 10), Source); e.Sent {
		t.Errorf("%+v", e)
	}
	if e := refused(t, c, post(strings.NewReader("data"), 10), Source); !errors.Is(e, io.ErrUnexpectedEOF) {
		t.Errorf("%+v", e)
	}
	if s := c.Stats(); s.Open != 0 {
		t.Errorf("%+v", s)
	}
}

func TestConnectIsRefused(t *testing.T) {
	c := client(t, Options{Address: script(t, echo)})
	if e := refused(t, c, &Call{Head: []byte("CONNECT a:1 HTTP/1.1\r\n"), Method: []byte("CONNECT")}, Send); e.Sent {
		t.Errorf("%+v", e)
	}
}

func TestHeaders(t *testing.T) {
	c := client(t, Options{MaxIdle: 1, Address: script(t, every(ok+"set-cookie: a=1; Path=/\r\nSET-COOKIE: b=2\r\nSet-Cookie: a=3\r\nwww-authenticate: Basic\r\n"+
		"WWW-Authenticate: Bearer\r\nVary: A\r\nVary: B\r\nserver: x\r\nContent-Type: text/x\r\nContent-Encoding: gzip\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok"))})
	resp := newResponse()
	resp.Header.Set("X-Before", "1")
	if err := c.Do(get("/"), resp); err != nil {
		t.Fatal(err)
	}
	head := string(resp.Header.Header())
	for _, line := range []string{"Set-Cookie: a=1; Path=/\r\nSet-Cookie: b=2\r\nSet-Cookie: a=3\r\n", "Www-Authenticate: Basic\r\nWww-Authenticate: Bearer\r\n",
		"Vary: A\r\nVary: B\r\n", "Server: x\r\n", "Content-Type: text/x\r\n", "Content-Encoding: gzip\r\n", "X-Before: 1\r\n"} {
		if strings.Count(head, line) != 1 {
			t.Errorf("%q is not in\n%s", line, head)
		}
	}
	if strings.Contains(head, "00:00:00") {
		t.Error("Date came through")
	}
	resp = ask(t, client(t, Options{Address: script(t, every("HTTP/1.1 299 Quite Odd\r\nContent-Length: 0\r\n\r\n"))}), get("/"), "")
	if head := string(resp.Header.Header()); !strings.HasPrefix(head, "HTTP/1.1 299 Quite Odd\r\n") || strings.Contains(head, "Content-Type") {
		t.Errorf("%s", head)
	}
}

// Trailers follow the last chunk, when the body was read, and a request without them ends as before.
func TestTail(t *testing.T) {
	c := client(t, Options{MaxIdle: 1, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		for {
			r, err := http.ReadRequest(from)
			if err != nil {
				return
			}
			n, err := io.Copy(io.Discard, r.Body)
			said := fmt.Sprint(n, err, r.Trailer["X-Sum"])
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(said), said)
		}
	})})
	for _, size := range []int{0, 1, 16 << 10, 100_000} {
		for tail, want := range map[string]string{"": " []", "X-Sum: 1\r\nX-Sum: 2\r\n": " [1 2]"} {
			for _, body := range []io.Reader{bytes.NewReader(make([]byte, size)), iotest.DataErrReader(bytes.NewReader(make([]byte, size)))} {
				call := post(body, -1)
				call.Tail = func() []byte { return []byte(tail) }
				ask(t, c, call, fmt.Sprint(size, nil, want))
			}
		}
	}
}
