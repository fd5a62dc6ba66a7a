package exchange

import (
	"bufio"
	"bytes"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/problem"
)

func head(t testing.TB, text string) (*fasthttp.Request, error) {
	t.Helper()
	r := &fasthttp.Request{}
	err := r.Header.Read(bufio.NewReaderSize(strings.NewReader(text), headSize))
	_ = r.URI() // as the server does
	return r, err
}

func TestStrict(t *testing.T) {
	for text, want := range map[string]string{
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n":                                                     "/ x",
		"GET / HTTP/1.0\r\n\r\n":                                                                "/ ",
		"GET / HTTP/1.0\r\nHost: x\r\n\r\n":                                                     "/ x",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n":                                                 "* x",
		"GET / HTTP/1.1\r\nHost: Api.example.com.:8080\r\n\r\n":                                 "/ Api.example.com:8080",
		"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n":                                              "/ [::1]:80",
		"GET / HTTP/1.1\r\nHost: x:\r\n\r\n":                                                    "/ x:",
		"GET http://x/a?b HTTP/1.1\r\nHost: X\r\n\r\n":                                          "/a?b X",
		"GET http://x?b HTTP/1.1\r\nHost: x\r\n\r\n":                                            "/?b x",
		"GET http://x.:80/a HTTP/1.1\r\nHost: x.:80\r\n\r\n":                                    "/a x:80",
		"GET HTTPS://x HTTP/1.1\r\nHost: x\r\n\r\n":                                             "/ x",
		"POST / HTTP/1.1\r\nHost: x\r\nTRANSFER-ENCODING:\t Chunked \r\n\r\n":                   "/ x",
		"GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n":                                             "HR4002",
		"GET http://u@x/ HTTP/1.1\r\nHost: x\r\n\r\n":                                           "HR4002",
		"GET http://x/ HTTP/1.0\r\n\r\n":                                                        "HR4002",
		"GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n":                                              "HR1011",
		"GET / HTTP/1.2\r\nHost: x\r\n\r\n":                                                     "HR1011",
		"OPTIONS * HTTP/2.0\r\nHost: x\r\n\r\n":                                                 "HR1011",
		"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n":                                           "HR4011",
		"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n":                                                   "HR4011",
		strings.Repeat("A", 33) + " / HTTP/1.1\r\nHost: x\r\n\r\n":                              "HR1011",
		"GET / HTTP/1.1\r\nA: b\nHost: x\r\n\r\n":                                               "HR1011",
		"GET / HTTP/1.1\r\nHost: x\r\n\nGET /2 HTTP/1.1\r\n\r\n":                                "HR1011",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\n\nGET /2 HTTP/1.1\r\n\r\n":                          "HR1011",
		"GET / HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n":                                       "HR4003",
		"GET / HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n":                                           "HR4003",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: identity\r\n\r\n":                     "HR4003",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n": "HR4003",
		"POST / HTTP/1.1\r\nHost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n": "HR4003",
		"GET / HTTP/1.1\r\nHost: x y\r\n\r\n":                                                   "HR4002",
		"GET / HTTP/1.1\r\nHost: u@x\r\n\r\n":                                                   "HR4002",
		"GET / HTTP/1.1\r\nHost: x:80:90\r\n\r\n":                                               "HR4002",
		"GET / HTTP/1.1\r\nHost: x:65536\r\n\r\n":                                               "HR4002",
		"GET / HTTP/1.1\r\nHost: x..y\r\n\r\n":                                                  "HR4002",
		"GET / HTTP/1.1\r\nHost: .\r\n\r\n":                                                     "HR4002",
		"GET / HTTP/1.1\r\nHost: :80\r\n\r\n":                                                   "HR4002",
		"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n":                                                  "HR4002",
		"GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n":                                                "HR4002",
		"GET / HTTP/1.1\r\nHost: x, y\r\n\r\n":                                                  "HR4002",
	} {
		h, err := head(t, text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got := ""
		if err := strict(h); err != nil {
			got = problem.From(err).Code
		} else {
			got = string(h.Header.RequestURI()) + " " + string(h.Header.Host())
			if !strings.EqualFold(string(h.Host()), string(h.Header.Host())) {
				t.Errorf("%q: the host for routes is %s", text, h.Host())
			}
		}
		if got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// What passes can be told in one way alone: no bare LF, no folding, one length.
func FuzzStrict(f *testing.F) {
	f.Add([]byte("GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"))
	f.Add([]byte("GET http://x./ HTTP/1.1\r\nHost: x.\r\nA: b\n c\r\n\r\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := &fasthttp.Request{}
		if r.Header.Read(bufio.NewReaderSize(bytes.NewReader(text), headSize)) != nil || strict(r) != nil {
			return
		}
		h := &r.Header
		raw := h.RawHeaders()
		if bytes.Count(raw, []byte("\n")) != bytes.Count(raw, []byte("\r\n")) || bytes.Contains(raw, []byte("\n ")) || bytes.Contains(raw, []byte("\n\t")) {
			t.Fatalf("%q", raw)
		}
		lower := bytes.ToLower(raw)
		if bytes.Contains(lower, []byte("\ntransfer-encoding:")) && bytes.Contains(lower, []byte("\ncontent-length:")) {
			t.Fatalf("%q", raw)
		}
		if uri := h.RequestURI(); string(uri) != "*" && uri[0] != '/' {
			t.Fatalf("%q", uri)
		}
		if host := h.Host(); bytes.ContainsAny(host, " @/\\,?#") {
			t.Fatalf("%q", host)
		}
	})
}

func BenchmarkStrict(b *testing.B) {
	h, err := head(b, "GET /orders/17?full=true HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\nAuthorization: Bearer abcdefghijklmnop\r\n\r\n")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := strict(h); err != nil {
			b.Fatal(err)
		}
	}
}
