package hostile

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"
)

// dial3 is a connection with HTTP/3 that is kept open, after the streams that a client begins with.
func dial3(s *server) (*quic.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := quic.DialAddr(ctx, s.secure, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}, ServerName: "localhost"},
		&quic.Config{KeepAlivePeriod: 100 * time.Millisecond, MaxIdleTimeout: time.Hour})
	if err != nil {
		return nil, err
	}
	control, err := c.OpenUniStream()
	if err == nil {
		_, err = control.Write([]byte{0, 4, 0}) // of control, SETTINGS without any
	}
	return c, err
}

// head3 is a frame with the head of a request, and more headers.
func head3(method byte, path string, more ...[2]string) []byte {
	b := []byte{0, 0, 0xc0 | method, 0xc0 | 23, 0x50, 6} // no dynamic table; the method, https and the authority of the static one
	b = append(append(b, "x.test"...), 0x51)
	b = append(number(b, len(path), 7), path...)
	for _, f := range more {
		b = append(b, 0x20)
		b = append(number(b, len(f[0]), 3), f[0]...)
		b = append(number(b, len(f[1]), 7), f[1]...)
	}
	return frame3(1, b)
}

// The methods of the static table.
const (
	gets  = 17
	posts = 20
)

func frame3(kind uint64, payload []byte) []byte {
	b := quicvarint.Append(nil, kind)
	return append(quicvarint.Append(b, uint64(len(payload))), payload...)
}

// number writes a length with so many bits in the last byte of b, or in a new one if they are seven.
func number(b []byte, n, bits int) []byte {
	most := 1<<bits - 1
	if bits == 7 {
		b = append(b, 0)
	}
	if n < most {
		b[len(b)-1] |= byte(n)
		return b
	}
	b[len(b)-1] |= byte(most)
	for n -= most; n >= 128; n /= 128 {
		b = append(b, byte(n%128|128))
	}
	return append(b, byte(n))
}

// ask3 sends one request on a stream of its own, and returns the first bytes of the answer.
func ask3(c *quic.Conn, head []byte) ([]byte, error) {
	s, err := c.OpenStream()
	if err != nil {
		return nil, err
	}
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err = s.Write(head); err == nil {
		err = s.Close()
	}
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(s, 1<<10))
}

// onslaught lets some clients do something with a connection each, and looks at how a bystander fares meanwhile and at what is left of it.
func onslaught(t *testing.T, clients int, memory int64, client func(c *quic.Conn) error) {
	t.Helper()
	before, from := gate.figures(), by.mark()
	var most figures
	throng(t, clients, func() error {
		c, err := dial3(gate)
		if err != nil {
			return err
		}
		defer c.CloseWithError(0, "") //nolint:errcheck // of a test
		return client(c)
	}, func(now figures) {
		most.goroutines, most.memory = max(most.goroutines, now.goroutines), max(most.memory, now.memory)
	})
	took := by.since(from)
	slices.Sort(took)
	if n := len(took); n >= 5 && took[n*9/10] > 5*wait90() {
		t.Errorf("of %d answers to a bystander one of ten took %v", n, took[n*9/10])
	}
	t.Logf("goroutines %v, at most %v; memory %d MB, at most %d MB; a bystander got %d answers", before.goroutines, most.goroutines, before.memory>>20, most.memory>>20, len(took))
	if most.memory-before.memory > memory {
		t.Errorf("memory has grown by %d MB", (most.memory-before.memory)>>20)
	}
	for deadline := time.Now().Add(patience); ; <-time.After(50 * time.Millisecond) {
		now := gate.figures()
		if now.goroutines <= before.goroutines+spare && now.open <= 2 { // the bystander's, and one that just ends
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("in the end there are %v goroutines, before %v, and %v connections", now.goroutines, before.goroutines, now.open)
		}
	}
}

func TestHTTP3Answers(t *testing.T) {
	c, err := dial3(gate)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseWithError(0, "") //nolint:errcheck // of a test
	answer, err := ask3(c, head3(gets, "/answer/3", [2]string{"x-some-long-name", strings.Repeat("x", 300)}))
	if err != nil || !bytes.Contains(answer, []byte("an answer")) {
		t.Errorf("%q %v", answer, err)
	}
}

// Streams that are reset at once, as many as a connection takes, leave nothing behind: the requests to the upstream end with them.
func TestHTTP3RapidReset(t *testing.T) {
	resets := 500
	if *long {
		resets = 5000
	}
	m := mark()
	defer func() { t.Logf("%d requests came to the upstream", len(up.of(m))); up.forget(m) }()
	onslaught(t, 10, 100<<20, func(c *quic.Conn) error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		head := head3(gets, "/silent/"+m, [2]string{"x-mark", m})
		for n := range resets {
			s, err := c.OpenStreamSync(ctx)
			if err != nil {
				t.Logf("after %d: %v", n, err)
				return ended3(err)
			}
			_, _ = s.Write(head)
			_ = s.Close() // what was written goes out, which a reset could overtake
			s.CancelRead(quic.StreamErrorCode(http3.ErrCodeRequestCanceled))
		}
		return nil
	})
}

// ended3 is nil if the server has ended the connection and says why, or nothing came for idle_timeout, which is a second here.
func ended3(err error) error {
	var said *quic.ApplicationError
	if errors.As(err, &said) && said.Remote || errors.As(err, new(*quic.IdleTimeoutError)) {
		return nil
	}
	return err
}

// stay keeps a connection open for three times as long as the server waits for anything.
func stay(c *quic.Conn) error {
	select {
	case <-c.Context().Done():
		return ended3(context.Cause(c.Context()))
	case <-time.After(3 * limit):
		return nil
	}
}

// A client has no more requests under way than it may, and the heads and bodies that it does not finish hold nothing once it has gone.
func TestHTTP3Streams(t *testing.T) {
	whole, parted := head3(posts, "/answer/3"), head3(gets, "/answer/3")
	for name, begin := range map[string][]byte{"bodies that do not come": whole, "heads that do not end": parted[:len(parted)/2], "streams without a word": nil} {
		t.Run(name, func(t *testing.T) {
			onslaught(t, 10, 100<<20, func(c *quic.Conn) error {
				for n := 0; ; n++ {
					s, err := c.OpenStream()
					if errors.As(err, new(*quic.StreamLimitReachedError)) {
						if n < 100 || n > 300 {
							return fmt.Errorf("there may be %d streams", n)
						}
						return stay(c)
					}
					if err == nil && n > 1000 {
						return errors.New("streams have no end")
					}
					if err == nil {
						_, err = s.Write(slices.Concat(begin, []byte{0})[:max(len(begin), 1)])
					}
					if err != nil {
						return ended3(err)
					}
				}
			})
		})
	}
}

// Heads that are too long, in one field or in many, or that say they are, are refused before they cost memory.
func TestHTTP3Heads(t *testing.T) {
	many := make([][2]string, 3000)
	for i := range many {
		many[i] = [2]string{fmt.Sprint("x-", i), "1"}
	}
	huge := append(quicvarint.Append(quicvarint.Append(nil, 1), 1<<30), bytes.Repeat([]byte{0}, 64<<10)...)
	for name, head := range map[string][]byte{
		"one field of 100 KiB": head3(gets, "/answer/3", [2]string{"x-large", strings.Repeat("x", 100<<10)}), "3000 fields": head3(gets, "/answer/3", many...),
		"a path of 100 KiB": head3(gets, "/answer/"+strings.Repeat("x", 100<<10)), "a head that says it has 1 GiB": huge,
		"a frame of no kind, of 1 GiB": append(quicvarint.Append(quicvarint.Append(nil, 0x21), 1<<30), bytes.Repeat([]byte{0}, 64<<10)...),
	} {
		t.Run(name, func(t *testing.T) {
			onslaught(t, 20, 100<<20, func(c *quic.Conn) error {
				answer, err := ask3(c, head)
				if bytes.Contains(answer, []byte("an answer")) {
					return errors.New("it was taken")
				}
				if n, ok := err.(interface{ Timeout() bool }); ok && n.Timeout() {
					return err
				}
				return nil
			})
		})
	}
}

// Clients that keep connections with HTTP/3 open, with and without a request, do not hold the end of the process longer than requests may take then.
func TestHTTP3End(t *testing.T) {
	const grace = 10 * time.Second // of the public listener
	for name, c := range map[string]struct {
		begin []byte
		most  time.Duration
	}{
		"nothing is asked": {nil, grace / 2}, "a head that does not end": {head3(gets, "/answer/3")[:10], grace / 2}, "a body that does not come": {head3(posts, "/echo"), grace + 2*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := start(up.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer s.close()
			for range 10 {
				conn, err := dial3(s)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.CloseWithError(0, "") //nolint:errcheck // of a test
				if c.begin == nil {
					continue
				}
				stream, err := conn.OpenStream()
				if err == nil {
					_, err = stream.Write(c.begin)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			began := time.Now()
			_ = s.cmd.Process.Signal(syscall.SIGTERM)
			select {
			case <-s.ended:
				t.Logf("ended after %v", time.Since(began))
				if took := time.Since(began); took > c.most {
					t.Errorf("it took %v", took)
				}
			case <-time.After(patience):
				t.Error("it does not end")
			}
		})
	}
}
