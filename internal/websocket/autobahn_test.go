package websocket_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A step is one frame that the server is to send.
type step struct {
	first   byte
	payload []byte
}

// A bout follows a case of the Autobahn test suite for servers, whose numbers the names carry: bytes for an echo server, what it
// answers, and the code of its close frame (-1: it stays open, and a close frame of ours with 1000 is answered).
type bout struct {
	name  string
	send  [][]byte
	want  []step
	close int
}

func say(s string) step             { return step{0x81, []byte(s)} }
func bin(b []byte) step             { return step{0x82, b} }
func pong(s string) step            { return step{0x8a, []byte(s)} }
func ping(s string) []byte          { return frame(0x89, []byte(s)) }
func closing(code uint16) []byte    { return frame(0x88, []byte{byte(code >> 8), byte(code)}) }
func frames(f ...[]byte) [][]byte   { return f }
func steps(s ...step) []step        { return s }
func first(b byte, s string) []byte { return frame(b, []byte(s)) }

// run plays a case whole, and byte by byte if it is short.
func (s *server) run(t *testing.T, c bout) {
	all := slices.Concat(c.send...)
	if c.close < 0 {
		all = append(all, closing(1000)...)
		c.close = 1000
	}
	for _, chop := range []int{0, 1, 7} {
		if chop > 0 && len(all)/chop > 3000 {
			continue
		}
		t.Run(fmt.Sprintf("%s/%d", c.name, chop), func(t *testing.T) {
			t.Parallel()
			client := s.dial(t)
			go func() {
				if chop == 0 {
					client.Write(all)
					return
				}
				for part := range slices.Chunk(all, chop) {
					if _, err := client.Write(part); err != nil {
						return
					}
				}
			}()
			for _, w := range c.want {
				client.expect(w.first, w.payload)
			}
			client.expectClose(c.close)
		})
	}
}

func TestAutobahn1to5(t *testing.T) {
	s := startEcho(t, "127.0.0.1:0", 1<<20, false)
	var cases []bout
	add := func(name string, send [][]byte, want []step, close int) {
		cases = append(cases, bout{name, send, want, close})
	}
	for i, n := range []int{0, 125, 126, 127, 128, 65535, 65536} {
		b := bytes.Repeat([]byte("*"), n)
		add(fmt.Sprintf("1.1.%d", i+1), frames(frame(0x81, b)), steps(step{0x81, b}), -1)
		b = bytes.Repeat([]byte{0xfe}, n)
		add(fmt.Sprintf("1.2.%d", i+1), frames(frame(0x82, b)), steps(bin(b)), -1)
	}

	long := strings.Repeat("\xfe", 125)
	add("2.1", frames(ping("")), steps(pong("")), -1)
	add("2.2", frames(ping("Hello, world!")), steps(pong("Hello, world!")), -1)
	add("2.3", frames(ping("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), steps(pong("\x00\xff\xfe\xfd\xfc\xfb\x00\xff")), -1)
	add("2.4", frames(ping(long)), steps(pong(long)), -1)
	add("2.5", frames(ping(long+"\xfe")), nil, 1002)
	add("2.7", frames(first(0x8a, "")), nil, -1)
	add("2.8", frames(first(0x8a, "unsolicited")), nil, -1)
	add("2.9", frames(first(0x8a, "unsolicited"), ping("x")), steps(pong("x")), -1)
	var pings [][]byte
	var pongs []step
	for i := range 10 {
		pings = append(pings, ping(fmt.Sprint("payload-", i)))
		pongs = append(pongs, pong(fmt.Sprint("payload-", i)))
	}
	add("2.10", pings, pongs, -1)

	for i, rsv := range []byte{1, 2, 3, 4, 5, 6, 7} {
		bits := rsv << 4
		add(fmt.Sprintf("3.%d text", i+1), frames(text("before"), frame(0x81|bits, []byte("x")), text("after")), steps(say("before")), 1002)
		add(fmt.Sprintf("3.%d binary", i+1), frames(frame(0x82|bits, nil)), nil, 1002)
		add(fmt.Sprintf("3.%d ping", i+1), frames(frame(0x89|bits, nil)), nil, 1002)
		add(fmt.Sprintf("3.%d close", i+1), frames(frame(0x88|bits, nil)), nil, 1002)
	}
	for _, op := range []byte{3, 4, 5, 6, 7, 11, 12, 13, 14, 15} {
		add(fmt.Sprintf("4 opcode %d", op), frames(text("before"), first(0x80|op, ""), ping("")), steps(say("before")), 1002)
		add(fmt.Sprintf("4 opcode %d payload", op), frames(first(0x80|op, "reserved")), nil, 1002)
	}

	add("5.1", frames(first(0x09, "frag"), first(0x80, "ment")), nil, 1002)
	add("5.2", frames(first(0x0a, "frag"), first(0x80, "ment")), nil, 1002)
	add("5.3", frames(first(0x01, "fragment1"), first(0x80, "fragment2")), steps(say("fragment1fragment2")), -1)
	add("5.6", frames(first(0x01, "fragment1"), ping("ping"), first(0x80, "fragment2")), steps(pong("ping"), say("fragment1fragment2")), -1)
	add("5.9", frames(first(0x80, "no beginning"), text("Hello")), nil, 1002)
	add("5.12", frames(first(0x00, "no beginning"), text("Hello")), nil, 1002)
	add("5.15", frames(first(0x01, "f1"), first(0x80, "f2"), first(0x00, "f3"), first(0x01, "f4"), first(0x80, "")), steps(say("f1f2")), 1002)
	add("5.16", frames(first(0x00, "f1"), first(0x01, "f2"), first(0x80, "f3")), nil, 1002)
	add("5.17", frames(first(0x80, "f1"), first(0x01, "f2"), first(0x80, "f3")), nil, 1002)
	add("5.18", frames(first(0x01, "f1"), first(0x81, "f2")), nil, 1002)
	add("5.19", frames(first(0x01, "f1"), first(0x00, "f2"), ping("1"), first(0x00, "f3"), first(0x00, "f4"), ping("2"), first(0x80, "f5")),
		steps(pong("1"), pong("2"), say("f1f2f3f4f5")), -1)
	add("5 empty", frames(first(0x01, ""), first(0x00, ""), first(0x80, "")), steps(say("")), -1)
	for _, c := range cases {
		s.run(t, c)
	}
}

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestAutobahn6(t *testing.T) {
	s := startEcho(t, "127.0.0.1:0", 1<<20, false)
	valid := []string{
		"", "Hello-µ@ßöäüàá-UTF-8!!", "κόσμε", "\x00", "\u0080", "\u0800", "\U00010000", "\u007f", "\u07ff", "\uffff", "\U0010ffff", "\ud7ff", "\ue000",
		"\ufffd", "\ufffe", "\U0001fffe", "\U0001ffff", "\U0010fffe", "\u00e9x", strings.Repeat("κ", 40000),
	}
	for i, v := range valid {
		s.run(t, bout{fmt.Sprintf("6 valid %d", i), frames(text(v)), steps(say(v)), -1})
		if len(v) < 100 && len(v) > 0 {
			parts := frames(first(0x01, ""))
			for _, x := range []byte(v) {
				parts = append(parts, frame(0x00, []byte{x}))
			}
			s.run(t, bout{fmt.Sprintf("6 valid %d in frames of a byte", i), append(parts, first(0x80, "")), steps(say(v)), -1})
		}
	}
	invalid := []string{
		"cebae1bdb9cf83cebcceb5eda080656469746564", "cebae1bdb9cf83cebcceb5f4908080656469746564", "f8 88 80 80 80", "fc 84 80 80 80 80",
		"f7 bf bf bf", "fb bf bf bf bf", "fd bf bf bf bf bf", "f4 90 80 80", "80", "bf", "80 bf", "80 bf 80 bf", "c0 20", "e0 20", "f0 20", "f8 20",
		"c0", "e0 80", "f0 80 80", "f8 80 80 80", "df", "ef bf", "f7 bf bf", "fe", "ff", "fe fe ff ff", "c0 af", "e0 80 af", "f0 80 80 af",
		"f8 80 80 80 af", "c1 bf", "e0 9f bf", "f0 8f bf bf", "c0 80", "e0 80 80", "ed a0 80", "ed ad bf", "ed af bf ed bf bf", "ed a0 80 ed b0 80",
		"ce", "ce ba e1", "ce ba e1 bd", "ce ba e1 bd b9 cf",
	}
	for i, v := range invalid {
		b := unhex(v)
		s.run(t, bout{fmt.Sprintf("6 invalid %d", i), frames(text("fine"), frame(0x81, b)), steps(say("fine")), 1007})
		if len(b) > 1 {
			s.run(t, bout{fmt.Sprintf("6 invalid %d in frames", i), frames(frame(0x01, b[:1]), ping("p"), frame(0x80, b[1:])), nil, 1007}.mayPong(b[:1]))
		}
	}
	t.Run("6.4 at once", func(t *testing.T) { // the message never ends
		for _, b := range [][]byte{unhex("cebae1bdb9cf83cebcceb5 f490"), unhex("cebae1bdb9cf83cebcceb5 eda0"), unhex("ff")} {
			c := s.dial(t)
			c.Write(frame(0x01, b))
			c.expectClose(1007)
			c = s.dial(t)
			c.Write(append(frame(0x81, append(b, make([]byte, 1000)...))[:8+len(b)], 0))
			c.expectClose(1007)
		}
	})
}

// mayPong adds the answer to the ping between two frames when the first of them is not yet wrong.
func (c bout) mayPong(before []byte) bout {
	if x := before[0]; x >= 0xc2 && x <= 0xf4 {
		c.want = steps(pong("p"))
	}
	return c
}

func TestAutobahn7(t *testing.T) {
	s := startEcho(t, "127.0.0.1:0", 1<<20, false)
	empty := frame(0x88, nil)
	cases := []bout{
		{"7.1.1", frames(text("Hello World!")), steps(say("Hello World!")), -1},
		{"7.1.2", frames(closing(1000), closing(1000)), nil, 1000},
		{"7.1.3", frames(closing(1000), ping("late")), nil, 1000},
		{"7.1.4", frames(closing(1000), text("late")), nil, 1000},
		{"7.1.5", frames(first(0x01, "fragment1"), closing(1000), first(0x80, "fragment2")), nil, 1000},
		{"7.1.6", frames(closing(1000), frame(0x81, bytes.Repeat([]byte("*"), 256<<10)), ping("late")), nil, 1000},
		{"7.3.1", frames(empty), nil, 0},
		{"7.3.2", frames(frame(0x88, []byte("a"))), nil, 1002},
		{"7.3.4", frames(first(0x88, "\x03\xe8Hello World!")), nil, 1000},
		{"7.3.5", frames(first(0x88, "\x03\xe8"+strings.Repeat("*", 123))), nil, 1000},
		{"7.3.6", frames(first(0x88, "\x03\xe8"+strings.Repeat("*", 124))), nil, 1002},
		{"7.5.1", frames(frame(0x88, unhex("03e8 cebae1bdb9cf83cebcceb5eda080656469746564"))), nil, 1007},
	}
	for _, code := range []uint16{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999} {
		cases = append(cases, bout{fmt.Sprint("7.7 ", code), frames(closing(code)), nil, int(code)})
	}
	for _, code := range []uint16{0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999, 5000, 65535} {
		cases = append(cases, bout{fmt.Sprint("7.9 ", code), frames(closing(code)), nil, 1002})
	}
	for _, c := range cases {
		s.run(t, c)
	}
}

func TestAutobahn9and10(t *testing.T) {
	s := startEcho(t, "127.0.0.1:0", 16<<20, false)
	for _, n := range []int{64 << 10, 1 << 20, 16 << 20} {
		for _, op := range []byte{1, 2} {
			b := bytes.Repeat([]byte("*"), n)
			t.Run(fmt.Sprintf("9 %d of %d", n, op), func(t *testing.T) {
				c := s.dial(t)
				go c.Write(frame(0x80|op, b))
				c.expect(0x80|op, b)
			})
			for _, size := range []int{1300, 16 << 10} { // 9.3, 9.4, 10.1.1
				if n/size > 1000 || op == 1 && n > 1<<20 {
					continue
				}
				t.Run(fmt.Sprintf("9 %d of %d in frames of %d", n, op, size), func(t *testing.T) {
					c := s.dial(t)
					var all []byte
					begin := op
					for part := range slices.Chunk(b, size) {
						all = append(all, frame(begin, part)...)
						begin = 0
					}
					go c.Write(append(all, frame(0x80, nil)...))
					c.expect(0x80|op, b)
				})
			}
		}
	}
	t.Run("9.5 in pieces", func(t *testing.T) {
		b := bytes.Repeat([]byte("*"), 1<<20)
		c := s.dial(t)
		go func() {
			for part := range slices.Chunk(frame(0x81, b), 509) {
				c.Write(part)
			}
		}()
		c.expect(0x81, b)
	})
	t.Run("9.7 messages", func(t *testing.T) {
		for _, n := range []int{0, 16, 64, 256, 1024, 4096} {
			c := s.dial(t)
			b := bytes.Repeat([]byte("*"), n)
			go func() {
				for range 200 {
					c.Write(frame(0x81, b))
				}
			}()
			for range 200 {
				c.expect(0x81, b)
			}
		}
	})
	t.Run("too big", func(t *testing.T) {
		small := startEcho(t, "127.0.0.1:0", 1000, true)
		b := make([]byte, 1000)
		small.run(t, bout{"at the limit", frames(frame(0x82, b), frame(0x02, b[:500]), frame(0x80, b[:500])), steps(bin(b), bin(b)), -1})
		small.run(t, bout{"above it", frames(frame(0x82, make([]byte, 1001))), nil, 1009})
		small.run(t, bout{"in frames", frames(frame(0x02, b), frame(0x80, b[:1])), nil, 1009})
		small.run(t, bout{"announced", frames(unhex("82ff 7fffffffffffffff 00000000")), nil, 1009})
		small.run(t, bout{"length of 64 bits", frames(unhex("82ff 8000000000000000 00000000")), nil, 1002})
		small.run(t, bout{"length not minimal", frames(unhex("82fe 0005 00000000 0000000000")), nil, 1002})
		small.run(t, bout{"not masked", frames(unhex("8105 48656c6c6f")), nil, 1002})
	})
}
