//go:build !race

package upstream

import (
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
