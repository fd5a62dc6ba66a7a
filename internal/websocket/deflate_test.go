package websocket_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/flate"
)

func compress(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, 6)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte{0, 0, 0xff, 0xff})
}

func (c *client) expectMessage(op byte, want []byte) {
	c.Helper()
	f, p, err := c.receive()
	if err != nil {
		c.Fatal(err)
	}
	if f&rsv1 != 0 {
		if p, err = io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(p), strings.NewReader("\x00\x00\xff\xff\x01\x00\x00\xff\xff")))); err != nil {
			c.Fatal(err)
		}
	}
	if f&^rsv1 != fin|op || !bytes.Equal(p, want) {
		c.Fatalf("got %#x %.60q, want %.60q", f, p, want)
	}
}

func TestAutobahn12and13(t *testing.T) {
	s := startEcho(t, "127.0.0.1:0", 1<<20, true)
	words := []byte(strings.Repeat("The quick brown fox jumps over the lazy dog, 42 times. ", 1<<12))
	for i, offer := range []string{
		"permessage-deflate", "permessage-deflate; client_max_window_bits", "permessage-deflate; client_no_context_takeover; server_no_context_takeover",
		`permessage-deflate; client_max_window_bits="9"`, "permessage-deflate; server_max_window_bits=9, permessage-deflate",
		"x-unknown, permessage-deflate; server_max_window_bits=15",
	} {
		for _, n := range []int{0, 16, 256, 8192, 131072} {
			t.Run(fmt.Sprintf("%d/%d", i, n), func(t *testing.T) {
				t.Parallel()
				c := s.dial(t, "Sec-WebSocket-Extensions: "+offer)
				b := words[:n]
				packed := compress(t, b)
				go func() {
					for range 4 {
						c.Write(frame(fin|rsv1|1, packed))
						c.Write(frame(rsv1|2, packed[:len(packed)/2])) // the bit is that of the message
						c.Write(ping("between"))
						c.Write(frame(fin, packed[len(packed)/2:]))
						c.Write(frame(fin|1, b)) // not compressed is allowed too
					}
					c.Write(closing(1000))
				}()
				for range 4 {
					c.expectMessage(1, b)
					c.expect(0x8a, []byte("between"))
					c.expectMessage(2, b)
					c.expectMessage(1, b)
				}
				c.expectClose(1000)
			})
		}
	}
	for name, c := range map[string]struct {
		b    []byte
		code int
	}{
		"bomb":                  {frame(fin|rsv1|2, compress(t, make([]byte, 8<<20))), 1009},
		"bomb of text":          {frame(fin|rsv1|1, compress(t, make([]byte, 1<<20+1))), 1009},
		"broken":                {frame(fin|rsv1|2, []byte("\xff\xff\xff\xff")), 1007},
		"not UTF-8":             {frame(fin|rsv1|1, compress(t, []byte("\xff\xfe"))), 1007},
		"bit on a continuation": {append(frame(rsv1|1, compress(t, words[:100])[:5]), frame(fin|rsv1, nil)...), 1002},
		"bit on a ping":         {frame(fin|rsv1|9, nil), 1002},
		"bit 2":                 {frame(fin|0x20|1, nil), 1002},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.dial(t, "Sec-WebSocket-Extensions: permessage-deflate")
			client.Write(c.b)
			client.expectClose(c.code)
		})
	}
	t.Run("exactly the limit", func(t *testing.T) {
		client := s.dial(t, "Sec-WebSocket-Extensions: permessage-deflate")
		client.Write(frame(fin|rsv1|2, compress(t, make([]byte, 1<<20))))
		client.expectMessage(2, make([]byte, 1<<20))
	})
	t.Run("a final block", func(t *testing.T) { // RFC 7692 section 7.2.3.4
		client := s.dial(t, "Sec-WebSocket-Extensions: permessage-deflate")
		client.Write(frame(fin|rsv1|1, []byte{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}))
		client.expectMessage(1, []byte("Hello"))
	})
}
