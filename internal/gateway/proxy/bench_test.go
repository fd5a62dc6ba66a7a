package proxy

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// busy is an upstream that answers all requests with the same bytes.
func busy(t testing.TB, answer string) string {
	return raw(t, func(c net.Conn, r *bufio.Reader) {
		reply := []byte(answer)
		for {
			for {
				line, err := r.ReadSlice('\n')
				if err != nil {
					return
				}
				if len(line) == 2 {
					break
				}
			}
			if _, err := c.Write(reply); err != nil {
				return
			}
		}
	})
}

const usual = "GET /api/v1/things?limit=10 HTTP/1.1\r\nHost: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\nAccept: application/json\r\nAccept-Encoding: gzip, br\r\nCookie: session=abcdefghijklmnop; theme=dark\r\n\r\n"

// BenchmarkProxy is a whole exchange over sockets: client, door, proxy and upstream in one process.
func BenchmarkProxy(b *testing.B) {
	for _, size := range []int{120, 32 << 10, 100 << 10} {
		b.Run(strings.TrimSuffix(config.Size(size).String(), "iB"), func(b *testing.B) {
			body := strings.Repeat("x", size)
			g := start(b, options{route: config.Route{Proxy: busy(b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nServer: u\r\nContent-Length: "+string(fasthttp.AppendUint(nil, size))+"\r\n\r\n"+body)}})
			c, r := dial(b, g)
			request := []byte(usual)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(request); err != nil {
					b.Fatal(err)
				}
				for {
					line, err := r.ReadSlice('\n')
					if err != nil {
						b.Fatal(err)
					}
					if len(line) == 2 {
						break
					}
				}
				if _, err := io.CopyN(io.Discard, r, int64(size)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkHead is the composition of a head alone.
func BenchmarkHead(b *testing.B) {
	s, err := newHeads(&config.Route{Match: "/*"}, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	g := start(b, options{route: config.Route{Proxy: busy(b, "")}, before: func(r *exchange.Request) error {
		defer close(done)
		var h head
		b.ReportAllocs()
		for b.Loop() {
			if err := s.compose(&h, r); err != nil {
				b.Error(err)
			}
		}
		return exchange.Answered
	}})
	c, _ := dial(b, g)
	_, _ = io.WriteString(c, usual)
	<-done
}
