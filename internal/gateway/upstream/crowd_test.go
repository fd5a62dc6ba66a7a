package upstream

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
)

// Many callers share few connections to a target that misbehaves. Nobody gets the answer of another, and no connection is lost.
func TestCrowd(t *testing.T) {
	address := script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		for {
			head := request(from)
			if head == "" {
				return
			}
			path := strings.Fields(head)[1]
			body := strings.Repeat(path+" ", 1+rand.IntN(2000))
			switch rand.IntN(10) {
			case 0: // closes without a word
				return
			case 1: // closes behind the answer without having said so
				_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", ok, len(body), body)
				return
			case 2: // says more than it was asked
				_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s%s", ok, len(body), body, hello)
			case 3:
				_, _ = fmt.Fprintf(conn, "%s\r\n%s", ok, body)
				return
			case 4: // cuts its answer
				_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", ok, len(body)+1, body)
				return
			case 5, 6:
				_, _ = fmt.Fprintf(conn, "%s%x\r\n%s\r\n0\r\n\r\n", chunked, len(body), body)
			default:
				_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n%s", ok, len(body), body)
			}
		}
	})
	c := client(t, Options{Address: address, MaxConns: 5, MaxIdle: 3, Inline: 2000, ConnectTimeout: 30 * time.Second, KeepAlive: 5 * time.Millisecond})
	var wait sync.WaitGroup
	for caller := range 16 {
		wait.Go(func() {
			resp := &fasthttp.Response{}
			for n := range 100 {
				path := fmt.Sprintf("/%d-%d", caller, n)
				call := get(path)
				resp.Reset()
				err := c.Do(call, resp)
				if err == nil && call.Stream != nil && rand.IntN(5) == 0 {
					_, _ = io.CopyN(io.Discard, call.Stream, 100)
					_ = call.Stream.Close()
					continue
				}
				var body string
				if err == nil {
					body, err = whole(call, resp)
				}
				if rest := strings.ReplaceAll(body, path+" ", ""); err == nil && (rest != "" || body == "") {
					t.Errorf("%s was answered with %.40q", path, body)
				}
				var e *Error
				if err != nil && (!errors.As(err, &e) || e.Timeout || e.Malformed || e.Stage != Head && e.Stage != Body) {
					t.Errorf("%s: %v", path, err)
				}
				if s := c.Stats(); s.Open > 5 || s.Idle > 3 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
	wait.Wait()
	if n := len(c.waiting); n != 0 {
		t.Errorf("%d still wait", n)
	}
}
