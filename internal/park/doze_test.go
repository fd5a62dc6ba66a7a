//go:build linux

package park

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// words hands what is read, and ticks, to a test.
func words() (*echo, chan string) {
	heard := make(chan string, 10)
	h := newEcho()
	h.read = func(_ *Conn, b []byte) int { heard <- string(b); return len(b) }
	h.tick = func(*Conn) { heard <- "tick" }
	return h, heard
}

func hear(t *testing.T, heard chan string, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-heard:
			if got != w {
				t.Fatalf("heard %q, want %q", got, w)
			}
		case <-time.After(patience):
			t.Fatalf("%q did not come", w)
		}
	}
}

func TestDoze(t *testing.T) {
	b := start(t, "tcp")
	h, heard := words()
	client, c := b.pair(h)
	witness, tells := words() // of events that came later
	other, _ := b.pair(witness)

	c.Doze(3)
	client.Write([]byte("abc"))
	other.Write([]byte("later"))
	hear(t, tells, "later")
	if len(heard) > 0 {
		t.Error("three bytes are an event")
	}
	client.Write([]byte("d"))
	hear(t, heard, "abcd")
	client.Write([]byte("e"))
	hear(t, heard, "e")

	c.Doze(3)
	client.Write([]byte("f"))
	c.Wake(time.Millisecond)
	hear(t, heard, "f", "tick")
	client.Write([]byte("g"))
	hear(t, heard, "g")

	c.Doze(3)
	c.Wake(time.Millisecond)
	hear(t, heard, "tick")
	client.Write([]byte("h"))
	hear(t, heard, "h")

	c.Doze(3)
	client.Write([]byte("i"))
	client.Close()
	hear(t, heard, "i")
	if err := h.wait(t); err != io.EOF {
		t.Error(err)
	}
}

// asleep is a connection to which two bytes have come, ab, that are no event.
func asleep(t *testing.T) (h *echo, heard chan string, client net.Conn, c *Conn) {
	h, heard = words()
	client, c = start(t, "tcp").pair(h)
	c.Doze(100)
	client.Write([]byte("ab"))
	return h, heard, client, c
}

// TestLeaveWhileDozing gives a connection back to which few bytes have come, and more come.
func TestLeaveWhileDozing(t *testing.T) {
	h, _, client, c := asleep(t)
	conn, err := c.Leave()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	expect(t, conn, []byte("ab"))
	go client.Write([]byte("c"))
	expect(t, conn, []byte("c"))
	if err := h.wait(t); !errors.Is(err, ErrLeft) {
		t.Error(err)
	}
}

// TestCloseWhileDozing has a peer whose end must be seen although it was not heard.
func TestCloseWhileDozing(t *testing.T) {
	h, heard, client, c := asleep(t)
	c.Close(io.ErrClosedPipe)
	client.SetReadDeadline(time.Now().Add(patience))
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Error("the client's connection ends with", err)
	}
	client.Close()
	if err := h.wait(t); err != io.ErrClosedPipe {
		t.Error(err)
	}
	if len(heard) > 0 {
		t.Error("a closed connection was read for its handler")
	}
}

func TestStreamsDoNotDoze(t *testing.T) {
	b := start(t, "tcp")
	h, heard := words()
	client, c := b.secure(h)
	c.Doze(100)
	client.Write([]byte("ab"))
	hear(t, heard, "ab")
}
