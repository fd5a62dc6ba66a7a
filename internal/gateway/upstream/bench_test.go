//go:build unix

package upstream

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"golang.org/x/sys/unix"
)

// target answers every request, whatever it is, with the same bytes.
func target(b testing.TB, network string, answer []byte) string {
	b.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(b.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 64<<10)
				for {
					n := 0
					for !bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						m, err := conn.Read(buf[n:])
						if err != nil {
							return
						}
						n += m
					}
					if _, err := conn.Write(answer); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func answerOf(size int) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nServer: nginx/1.22\r\nDate: Mon, 23 Nov 2026 02:30:20 GMT\r\nContent-Type: application/json\r\n"+
		"Content-Length: %d\r\nConnection: keep-alive\r\nETag: \"5f3a\"\r\nCache-Control: no-store\r\n\r\n%s", size, bytes.Repeat([]byte("x"), size))
}

var benchHead = []byte("GET /some/path?with=query HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n" +
	"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Request-Id: 0123456789abcdef\r\n")

func BenchmarkDo(b *testing.B) {
	for _, network := range []string{"tcp", "unix"} {
		for _, size := range []int{120, 100 << 10} {
			b.Run(fmt.Sprintf("%s/%d", network, size), func(b *testing.B) {
				c := New(Options{Network: network, Address: target(b, network, answerOf(size)), MaxIdle: 64})
				defer c.Close()
				defer cost(b)()
				b.RunParallel(func(pb *testing.PB) {
					call := &Call{Head: benchHead, Method: []byte("GET")}
					resp := &fasthttp.Response{}
					for pb.Next() {
						resp.Reset()
						if err := c.Do(call, resp); err != nil {
							b.Error(err)
							return
						}
						if call.Stream != nil {
							if _, err := call.Stream.WriteTo(io.Discard); err != nil {
								b.Error(err)
							}
							call.Stream.Close()
						}
					}
				})
			})
		}
	}
}

// cost begins a measurement with 16 calls at a time and reports the processor time of each, that of the target included.
func cost(b *testing.B) (end func()) {
	used := func() time.Duration {
		var u unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b.ReportAllocs()
	b.SetParallelism(8)
	before := used()
	return func() { b.ReportMetric(float64((used()-before).Nanoseconds())/float64(b.N), "cpu-ns/op") }
}

// BenchmarkHostClient is fasthttp's client in the place of ours.
func BenchmarkHostClient(b *testing.B) {
	c := &fasthttp.HostClient{Addr: target(b, "tcp", answerOf(120)), MaxConns: 64}
	defer cost(b)()
	b.RunParallel(func(pb *testing.PB) {
		req, resp := &fasthttp.Request{}, &fasthttp.Response{}
		for pb.Next() {
			req.Reset()
			resp.Reset()
			req.SetRequestURI("http://localhost/some/path?with=query")
			req.Header.Set("Accept", "*/*")
			req.Header.Set("X-Forwarded-For", "127.0.0.1")
			req.Header.Set("X-Forwarded-Proto", "http")
			req.Header.Set("X-Request-Id", "0123456789abcdef")
			if err := c.Do(req, resp); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
