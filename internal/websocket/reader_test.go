package websocket

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"strings"
	"testing"
	"unicode/utf8"
	"unsafe"
)

func TestUnmask(t *testing.T) {
	for n := range 100 {
		for at := range 4 {
			key := bits.RotateLeft32(binary.LittleEndian.Uint32([]byte{1, 20, 77, 250}), -8*at)
			k := [4]byte{}
			binary.LittleEndian.PutUint32(k[:], key)
			b := bytes.Repeat([]byte{0x55}, n)
			next := unmask(b, key)
			for i := range b {
				if b[i] != 0x55^k[i%4] {
					t.Fatal(n, at, i)
				}
			}
			if next != bits.RotateLeft32(key, -8*(n%4)) {
				t.Fatal("key after", n)
			}
		}
	}
}

func TestCheckText(t *testing.T) {
	text := []byte("aκ€\U0010ffff!")
	for i := range text {
		n, ok := checkText(text[:i])
		if !ok || n > i || i-n > 3 || !utf8.Valid(text[:n]) {
			t.Error(i, n, ok)
		}
	}
}

func masked(first byte, payload []byte) []byte {
	b := appendHeader(nil, first, len(payload))
	b[1] |= bitMask
	b = append(b, 9, 8, 7, 6)
	at := len(b)
	b = append(b, payload...)
	unmask(b[at:], binary.LittleEndian.Uint32([]byte{9, 8, 7, 6}))
	return b
}

func TestIdleReaderIsSmall(t *testing.T) {
	r := NewReader(&Limits{})
	if _, _, err := r.Next(masked(0x01, []byte("part"))); err != nil || r.part == nil {
		t.Fatal(err)
	}
	if m, _, err := r.Next(masked(0x80, nil)); err != nil || string(m.Data) != "part" || r.part != nil {
		t.Error(m, err)
	}
	if size := unsafe.Sizeof(r); size > 16 {
		t.Error(size)
	}
}

func TestNoAllocation(t *testing.T) {
	r := NewReader(&Limits{Message: 1 << 20})
	frame := masked(0x81, []byte("a message of a usual kind"))
	in := make([]byte, len(frame))
	out := make([]byte, 0, 100)
	if n := testing.AllocsPerRun(100, func() {
		copy(in, frame)
		m, n, err := r.Next(in)
		if err != nil || n != len(in) {
			t.Fatal(err)
		}
		out = AppendFrame(out[:0], m.Op, m.Data)
		out = AppendClose(out, GoingAway, "bye")
	}); n != 0 {
		t.Error(n)
	}
}

func TestAnnouncedLengthCostsNothing(t *testing.T) {
	r := NewReader(&Limits{})
	b := masked(0x82, make([]byte, 1<<20))[:1000]
	binary.BigEndian.PutUint64(b[2:], 1<<50)
	if _, n, err := r.Next(b); n != len(b) || err != nil || cap(r.part.data) > 4096 {
		t.Error(n, err, cap(r.part.data))
	}
}

func TestAppendClose(t *testing.T) {
	for _, c := range []struct {
		code   Code
		reason string
		want   string
	}{
		{NoCode, "ignored", "\x88\x00"},
		{3501, "bad request", "\x88\x0d\x0d\xadbad request"},
		{1000, strings.Repeat("€", 60), "\x88\x7d\x03\xe8" + strings.Repeat("€", 41)},
		{1000, "x" + strings.Repeat("€", 60), "\x88\x7b\x03\xe8x" + strings.Repeat("€", 40)},
	} {
		if got := AppendClose(nil, c.code, c.reason); string(got) != c.want {
			t.Errorf("%q", got)
		}
	}
}

func TestPrepared(t *testing.T) {
	long := bytes.Repeat([]byte("again and "), 100)
	p := Prepare(Text, long)
	if !bytes.Equal(p.Frame(false), AppendFrame(nil, Text, long)) {
		t.Error("plain")
	}
	small := p.Frame(true)
	if len(small) > 100 || small[0] != bitFin|bitRsv1|byte(Text) || &small[0] != &p.Frame(true)[0] {
		t.Errorf("%q", small)
	}
	if got, err := inflate(small[2:], 0); err != nil || !bytes.Equal(got, long) {
		t.Errorf("%q %v", got, err)
	}
	if got := Prepare(Binary, []byte{1, 2}).Frame(true); !bytes.Equal(got, []byte{0x82, 2, 1, 2}) {
		t.Errorf("%q", got)
	}
}

// play feeds b in pieces and tells what came of it.
func play(l *Limits, b []byte, piece func(left int) int) string {
	r := NewReader(l)
	var out strings.Builder
	var rest []byte
	for len(b) > 0 {
		k := piece(len(b))
		rest = append(bytes.Clone(rest), b[:k]...)
		b = b[k:]
		for {
			m, n, err := r.Next(rest)
			rest = rest[n:]
			if err != nil {
				fmt.Fprintf(&out, "%v", err)
				return out.String()
			}
			if m.Op == Continuation {
				break
			}
			fmt.Fprintf(&out, "%d %d %q\n", m.Op, m.Code, m.Data)
		}
		if len(rest) > 131 {
			return fmt.Sprint("left ", len(rest))
		}
	}
	return out.String()
}

// FuzzReader wants the same messages and the same error however the bytes are cut.
func FuzzReader(f *testing.F) {
	f.Add(masked(0x81, []byte("hello")), uint8(3), false)
	f.Add(append(append(masked(0x01, []byte("κ")[:1]), masked(0x89, []byte("ping"))...), masked(0x80, []byte("κ")[1:])...), uint8(1), true)
	f.Add(masked(0xc1, []byte("\xf2\x48\xcd\xc9\xc9\x07\x00")), uint8(2), true)
	f.Add(masked(0x88, []byte("\x03\xe8bye")), uint8(5), false)
	f.Add(masked(0x82, make([]byte, 2000)), uint8(100), false)
	f.Add(masked(0x81, []byte("\xff")), uint8(1), false)
	f.Fuzz(func(t *testing.T, b []byte, cut uint8, deflate bool) {
		l := &Limits{Message: 1000, Deflate: deflate}
		whole := play(l, b, func(left int) int { return left })
		for _, size := range []int{1, int(cut)%140 + 1} {
			if got := play(l, b, func(left int) int { return min(left, size) }); got != whole {
				t.Errorf("in pieces of %d:\n%s\nwhole:\n%s", size, got, whole)
			}
		}
	})
}

func FuzzInflate(f *testing.F) {
	f.Add([]byte("\xf2\x48\xcd\xc9\xc9\x07\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := inflate(b, 500); err == nil && len(out) > 500 {
			t.Error(len(out))
		}
		d := AppendDeflated(nil, Binary, b)
		if d[0]&bitRsv1 == 0 {
			return
		}
		size := len(d) - int(d[1])
		if d[1] == 126 {
			size = 4
		}
		if out, err := inflate(d[size:], 0); err != nil || !bytes.Equal(out, b) {
			t.Error(err)
		}
	})
}

func BenchmarkUnmask(b *testing.B) {
	for _, n := range []int{16, 128, 4096} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data := make([]byte, n)
			b.SetBytes(int64(n))
			for b.Loop() {
				unmask(data, 0x12345678)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	r := NewReader(&Limits{Message: 1 << 20})
	frame := masked(0x81, bytes.Repeat([]byte("x"), 128))
	in := make([]byte, len(frame))
	b.ReportAllocs()
	for b.Loop() {
		copy(in, frame)
		if _, _, err := r.Next(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDeflate(b *testing.B) {
	payload := []byte(strings.Repeat(`{"push":{"channel":"chat:1","pub":{"data":{"text":"hello"},"offset":42}}}`, 8))
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		out = AppendDeflated(out[:0], Text, payload)
	}
	b.ReportMetric(float64(len(out))/float64(len(payload)), "ratio")
}
