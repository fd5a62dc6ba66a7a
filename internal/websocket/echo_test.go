package websocket_test

import "testing"

func TestEcho(t *testing.T) {
	s := startEcho(t, "127.0.0.1:0", 1<<20, true)
	c := s.dial(t)
	c.Write(text("hello"))
	c.expect(0x81, []byte("hello"))
	c.Write(frame(0x01, []byte("frag")))
	c.Write(frame(0x89, []byte("ping")))
	c.Write(frame(0x80, []byte("ment")))
	c.expect(0x8a, []byte("ping"))
	c.expect(0x81, []byte("fragment"))
	c.Write(frame(0x88, []byte{0x03, 0xe8}))
	c.expectClose(1000)
}
