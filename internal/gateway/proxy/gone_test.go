package proxy

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

// A target learns soon that the client has gone away, however far the answer has come.
func TestClientGone(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"before the head":     "",
		"in the head":         "HTTP/1.1 200 OK\r\nX-",
		"after early hints":   "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
		"in a short body":     "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
		"in a long body":      "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nhello",
		"in a chunked body":   "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		"in a body that ends": "HTTP/1.1 200 OK\r\n\r\nhello",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, ended := make(chan bool), make(chan time.Time, 1)
			g := start(t, options{route: config.Route{Proxy: raw(t, func(c net.Conn, r *bufio.Reader) {
				_, _ = readHead(r)
				_, _ = io.WriteString(c, answer)
				asked <- true
				_, _ = r.ReadByte()
				ended <- time.Now()
			})}})
			c, _ := dial(t, g)
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
			<-asked
			left := time.Now()
			_ = c.Close()
			if took := (<-ended).Sub(left); took > 3*time.Second {
				t.Errorf("the target was told after %s", took)
			}
		})
	}
}

// Whoever waits gets an answer, however late, while others go away.
func TestClientStays(t *testing.T) {
	t.Parallel()
	g := start(t, options{route: config.Route{Proxy: raw(t, func(c net.Conn, r *bufio.Reader) {
		for nth := 0; ; nth++ {
			head, err := readHead(r)
			if err != nil {
				return
			}
			path := strings.Fields(head)[1]
			if nth%4 == 0 {
				<-time.After(2500 * time.Millisecond)
			}
			half := strings.Repeat("x", 50_000)
			fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", 2*len(half)+len(path), half)
			if nth%4 == 1 {
				<-time.After(2500 * time.Millisecond)
			}
			_, _ = io.WriteString(c, half+path)
		}
	})}})
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			for n := range 2 {
				c, r := dial(t, g)
				path := fmt.Sprintf("/%d/%d", i, n)
				fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", path)
				if i%3 == 0 {
					_ = c.Close()
					continue
				}
				head, err := readHead(r)
				if err != nil || !strings.HasPrefix(head, "HTTP/1.1 200") {
					t.Error(head, err)
					return
				}
				body := make([]byte, 100_000+len(path))
				if _, err := io.ReadFull(r, body); err != nil || string(body[100_000:]) != path {
					t.Errorf("%q: %v", body[max(0, len(body)-20):], err)
				}
				_ = c.Close()
			}
		})
	}
	all.Wait()
}
