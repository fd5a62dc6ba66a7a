package park

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

const patience = 20 * time.Second

// echo writes back what comes, and keeps what the socket refuses. Hooks change it.
type echo struct {
	mu       sync.Mutex
	queued   []byte
	read     func(c *Conn, b []byte) int
	tick     func(c *Conn)
	writable atomic.Int32
	closes   atomic.Int32
	closed   chan error
}

func newEcho() *echo { return &echo{closed: make(chan error, 4)} }

func (h *echo) Read(c *Conn, b []byte) int {
	if h.closes.Load() != 0 {
		panic("Read after Closed")
	}
	if h.read != nil {
		return h.read(c, b)
	}
	h.send(c, b)
	return len(b)
}

func (h *echo) send(c *Conn, b []byte) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queued) == 0 && c.Write(b) != ErrBlocked {
		return
	}
	h.queued = append(h.queued, b...)
}

func (h *echo) Writable(c *Conn) {
	h.writable.Add(1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.queued) > 0 && c.Write(h.queued) == nil {
		h.queued = nil
	}
}

func (h *echo) Tick(c *Conn) {
	if h.tick != nil {
		h.tick(c)
	}
}

func (h *echo) Closed(c *Conn, err error) {
	if h.closes.Add(1) > 1 {
		panic("Closed twice")
	}
	h.closed <- err
}

func (h *echo) wait(t testing.TB) error {
	t.Helper()
	select {
	case err := <-h.closed:
		return err
	case <-time.After(patience):
		t.Fatal("Closed did not come")
		return nil
	}
}

type bench struct {
	testing.TB
	*Engine
	listener net.Listener
	dialing  sync.Mutex
	peers    []int // descriptors to close
}

func start(t testing.TB, network string) *bench {
	t.Helper()
	e, err := New(Options{Pollers: 2})
	if err != nil {
		t.Fatal(err)
	}
	at := "127.0.0.1:0"
	if network == "unix" {
		at = t.TempDir() + "/s"
	}
	l, err := net.Listen(network, at)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{TB: t, Engine: e, listener: l}
	t.Cleanup(func() {
		l.Close()
		for _, fd := range b.peers {
			syscall.Close(fd)
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := e.Stop(ctx); err != nil {
			t.Error("stop:", err)
		}
		if n := e.Len(); n != 0 {
			t.Error("connections left:", n)
		}
	})
	return b
}

// pair connects and parks the server's end.
func (b *bench) pair(h Handler, early ...byte) (net.Conn, *Conn) {
	b.Helper()
	client, err := net.Dial(b.listener.Addr().Network(), b.listener.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { client.Close() })
	server, err := b.listener.Accept()
	if err != nil {
		b.Fatal(err)
	}
	c, err := b.Park(server, early, h)
	if err != nil {
		b.Fatal(err)
	}
	client.SetDeadline(time.Now().Add(patience))
	return client, c
}

func expect(t testing.TB, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(r, got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got %.40q, want %.40q", got, want)
	}
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("not in time:", what)
		}
		<-time.After(time.Millisecond)
	}
}

func TestEcho(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			b := start(t, network)
			h := newEcho()
			client, c := b.pair(h, []byte("early")...)
			expect(t, client, []byte("early"))
			client.Write([]byte("hello"))
			expect(t, client, []byte("hello"))
			if network == "tcp" && c.Remote().String() != client.LocalAddr().String() {
				t.Error("remote is", c.Remote(), "not", client.LocalAddr())
			}
			client.Close()
			if err := h.wait(t); err != io.EOF {
				t.Error(err)
			}
			if err := c.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		})
	}
}

func TestMegabytesBothWays(t *testing.T) {
	b := start(t, "tcp")
	h := newEcho()
	client, _ := b.pair(h)
	sent := make([]byte, 16<<20)
	rand.Read(sent)
	go client.Write(sent)
	expect(t, client, sent)
}

func TestHalfClose(t *testing.T) {
	b := start(t, "tcp")
	h := newEcho()
	client, _ := b.pair(h)
	client.Write([]byte("last words"))
	client.(*net.TCPConn).CloseWrite()
	all, err := io.ReadAll(client)
	if err != nil || string(all) != "last words" {
		t.Errorf("%q, %v", all, err)
	}
	if err := h.wait(t); err != io.EOF {
		t.Error(err)
	}
}

func TestUntakenBytesComeAgain(t *testing.T) {
	b := start(t, "tcp")
	h := newEcho()
	h.read = func(c *Conn, b []byte) int { // lines
		n := bytes.IndexByte(b, '\n') + 1
		if n > 0 {
			c.Write(b[:n])
		}
		return n
	}
	client, _ := b.pair(h, 'a')
	client.(*net.TCPConn).SetNoDelay(true)
	for _, x := range []byte("bcdefghijklmnopqrstuvwxyz\n") {
		client.Write([]byte{x})
	}
	expect(t, client, []byte("abcdefghijklmnopqrstuvwxyz\n"))
	client.Write(bytes.Repeat([]byte("x"), 2<<20))
	if err := h.wait(t); err != ErrPartial {
		t.Error(err)
	}
}
