package exchange

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// A client that reads no answer before it has sent all gets the answer that came before; the connection ends then.
func TestLinger(t *testing.T) {
	server := NewServer(Options{Plane: "edge", Listen: "127.0.0.1:0", HeaderTimeout: 5 * time.Second, IdleTimeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler),
		Admit: func(*Request) error { return problem.New("HR1003", "too large") }, Serve: func(*Request) error { return nil }})
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = server.Stop(ctx)
	})
	certificate := httptest.NewTLSServer(http.NotFoundHandler())
	certificate.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server.Open(Door{Listener: listener, TLS: certificate.TLS})
	const size = 20 << 20
	for _, secure := range []bool{false, true} {
		for _, header := range []string{fmt.Sprintf("Content-Length: %d", size), "Transfer-Encoding: chunked", fmt.Sprintf("Expect: 100-continue\r\nContent-Length: %d", size),
			"X: " + strings.Repeat("x", 2*headSize)} {
			t.Run(fmt.Sprintf("%t %.20s", secure, header), func(t *testing.T) {
				t.Parallel()
				address := server.Addr().String()
				if secure {
					address = listener.Addr().String()
				}
				conn, err := net.Dial("tcp", address)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
				if secure {
					conn = tls.Client(conn, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // the test's own
				}
				fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", header)
				piece := []byte("10000\r\n" + strings.Repeat("x", 1<<16) + "\r\n")
				for sent := 0; sent < size; sent += len(piece) {
					if _, err := conn.Write(piece); err != nil {
						t.Fatalf("after %d bytes: %v", sent, err)
					}
				}
				r := bufio.NewReader(conn)
				got, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, got.Body)
				if got.StatusCode/100 != 4 || !got.Close && header[0] != 'T' { // what is left of a chunked body may be short
					t.Error(got.Status, got.Header)
				}
				if _, err := r.ReadByte(); err != io.EOF {
					t.Error(err)
				}
			})
		}
	}
}
