package upstream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
)

// TestStreams reads bodies by Read with buffers of several sizes, and by WriteTo.
func TestStreams(t *testing.T) {
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(i * 7 >> 3)
	}
	var pieces bytes.Buffer
	for rest, n := data, 1; len(rest) > 0; n = n*3 + 1 {
		n := min(n, len(rest))
		fmt.Fprintf(&pieces, "%X;x\r\n%s\r\n", n, rest[:n])
		rest = rest[n:]
	}
	for name, test := range map[string]struct {
		answer string
		size   int64
		kept   bool
	}{
		"length":      {fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, len(data), data), int64(len(data)), true},
		"chunked":     {chunked + pieces.String() + "0\r\n\r\n", -1, true},
		"until close": {ok + "\r\n" + string(data), -1, false},
	} {
		address := script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
			for request(from) != "" {
				if _, _ = io.WriteString(conn, test.answer); !test.kept {
					return
				}
			}
		})
		for _, size := range []int{0, 1, 100, 5000, 1 << 20} {
			c := client(t, Options{Address: address, MaxIdle: 1})
			for range 2 {
				call := get("/")
				if err := c.Do(call, newResponse()); err != nil {
					t.Fatal(err)
				}
				if call.Size != test.size {
					t.Errorf("%s: size %d", name, call.Size)
				}
				var got bytes.Buffer
				var err error
				if size == 0 {
					_, err = call.Stream.WriteTo(&got)
				} else {
					_, err = io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{call.Stream}, make([]byte, size))
				}
				if err != nil || !bytes.Equal(got.Bytes(), data) {
					t.Fatalf("%s by %d: %d bytes, %v", name, size, got.Len(), err)
				}
				if n, err := call.Stream.Read(make([]byte, 9)); n != 0 || err != io.EOF {
					t.Errorf("%s: %d, %v behind the end", name, n, err)
				}
				if n, err := call.Stream.WriteTo(io.Discard); n != 0 || err != nil {
					t.Errorf("%s: %d, %v behind the end", name, n, err)
				}
				_ = call.Stream.Close()
				if s := c.Stats(); test.kept && s.Idle != 1 || !test.kept && s.Open != 0 {
					t.Errorf("%s: %+v", name, s)
				}
			}
		}
	}
}

// refusing is a client that takes so many bytes.
type refusing int

var errGone = errors.New("gone")

func (r *refusing) Write(p []byte) (int, error) {
	n := min(len(p), int(*r))
	if *r -= refusing(n); n < len(p) {
		return n, errGone
	}
	return n, nil
}

func TestStreamIsGivenUp(t *testing.T) {
	c := client(t, Options{MaxIdle: 1, Address: script(t, every(fmt.Sprintf("%sContent-Length: 500000\r\n\r\n%500000d", ok, 1)))})
	call := get("/")
	if err := c.Do(call, newResponse()); err != nil {
		t.Fatal(err)
	}
	limit := refusing(100_000)
	if n, err := call.Stream.WriteTo(&limit); n != 100_000 || err != errGone {
		t.Errorf("%d, %v", n, err)
	}
	for range 2 {
		_ = call.Stream.Close()
	}
	if err := c.Do(call, newResponse()); err != nil {
		t.Fatal(err)
	}
	_ = call.Stream.Close()
	if _, err := call.Stream.Read(make([]byte, 1)); !errors.Is(err, errClosed) {
		t.Errorf("%v", err)
	}
	if s := c.Stats(); s.Open != 0 || s.Dials != 2 {
		t.Errorf("%+v", s)
	}
}

// What has come is given at once, as events need it, and the memory for it is given back.
func TestEvents(t *testing.T) {
	more := make(chan string)
	c := client(t, Options{MaxIdle: 1, Address: script(t, func(_ int, conn net.Conn, from *bufio.Reader) {
		request(from)
		_, _ = io.WriteString(conn, chunked)
		for event := range more {
			_, _ = fmt.Fprintf(conn, "%x\r\n%s\r\n", len(event), event)
		}
		_, _ = io.WriteString(conn, "0\r\n\r\n")
		request(from)
	})})
	call := get("/")
	if err := c.Do(call, newResponse()); err != nil {
		t.Fatal(err)
	}
	k := call.Stream.k
	buf := make([]byte, 100)
	for i := range 5 {
		event := fmt.Sprintf("data: %d\n\n", i)
		more <- event
		n, err := io.ReadAtLeast(call.Stream, buf, len(event))
		if err != nil || string(buf[:n]) != event {
			t.Fatalf("%q %v", buf[:n], err)
		}
		soon(t, "the buffer back", func() bool { return k.buf == nil || k.w > k.r })
	}
	close(more)
	if n, err := call.Stream.Read(buf); n != 0 || err != io.EOF {
		t.Errorf("%d %v", n, err)
	}
	if k.buf != nil {
		t.Error("an idle connection has a buffer")
	}
}

func TestInlineAtItsEdge(t *testing.T) {
	for size, inline := range map[int]bool{1000: true, 1001: false} {
		body := strings.Repeat("x", size)
		c := client(t, Options{MaxIdle: 1, Inline: 1000, Address: script(t, every(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, size, body)))})
		call := get("/")
		ask(t, c, call, body)
		if (call.Stream == nil) != inline {
			t.Errorf("%d bytes inline: %v", size, !inline)
		}
	}
	// Larger than a buffer.
	body := strings.Repeat("x", 60<<10)
	c := client(t, Options{MaxIdle: 1, Address: script(t, every(fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", ok, len(body), body)))})
	for range 2 {
		if call := get("/"); true {
			ask(t, c, call, body)
		}
	}
}

func TestMaxHeadAtItsEdge(t *testing.T) {
	for _, most := range []int{300, 40 << 10, 200 << 10} { // less and more than a buffer
		for over := range 2 {
			answer := ok + "Content-Length: 5\r\nX-A: "
			answer += strings.Repeat("b", most-len(answer)-4+over) + "\r\n\r\nhello"
			c := client(t, Options{MaxIdle: 1, MaxHead: most, Address: script(t, every(answer))})
			if over == 0 {
				ask(t, c, get("/"), "hello")
			} else if e := refused(t, c, get("/"), Head); !errors.Is(e, tooLong) {
				t.Errorf("%v", e)
			}
		}
	}
}
