//go:build unix && !race

package upstream

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"

	"github.com/valyala/fasthttp"
)

// A small exchange over a kept connection allocates nothing.
func TestAllocations(t *testing.T) {
	for name, answer := range map[string]string{
		"length":  string(answerOf(120)),
		"inline":  string(answerOf(50 << 10)),
		"chunked": chunked + "5\r\nhello\r\n0\r\n\r\n",
	} {
		c := client(t, Options{Address: target(t, "tcp", []byte(answer)), MaxIdle: 4})
		call, resp := &Call{Head: benchHead, Method: []byte("GET")}, &fasthttp.Response{}
		if n := testing.AllocsPerRun(2000, func() {
			resp.Reset()
			if err := c.Do(call, resp); err != nil || call.Stream != nil {
				t.Fatal(err, call.Stream)
			}
		}); n > 0.5 {
			t.Errorf("%s: %.2f allocations", name, n)
		}
		if k := c.idle[0]; k.buf != nil {
			t.Errorf("%s: an idle connection has a buffer", name)
		}
	}
}

// 256 MiB go through in both directions without being held.
func TestConstantMemory(t *testing.T) {
	const size = 256 << 20
	c := client(t, Options{MaxIdle: 1, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.CopyN(io.Discard, from, size)
		_, _ = fmt.Fprintf(conn, "%sContent-Length: %d\r\n\r\n", ok, size)
		zeros := make([]byte, 1<<20)
		for range size / len(zeros) {
			_, _ = conn.Write(zeros)
		}
	})})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	call := post(&endless{}, size)
	if err := c.Do(call, newResponse()); err != nil {
		t.Fatal(err)
	}
	n, err := call.Stream.WriteTo(io.Discard)
	runtime.ReadMemStats(&after)
	if n != size || err != nil {
		t.Fatal(n, err)
	}
	if grown := int64(after.TotalAlloc - before.TotalAlloc); grown > 8<<20 {
		t.Errorf("allocated %d bytes", grown)
	}
}
