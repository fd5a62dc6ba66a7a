package park

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestCrowd opens thousands of connections that each behave badly in a way of their own. Each sends and expects bytes that only it
// knows, so an event or a write that goes to another connection with the same descriptor is seen.
func TestCrowd(t *testing.T) {
	b := start(t, "tcp")
	rounds, width := 40, 64
	if testing.Short() {
		rounds = 8
	}
	var wg sync.WaitGroup
	for w := range width {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for r := range rounds {
				if err := b.behave((w + r) % 7); err != nil {
					t.Error("behaviour", (w+r)%7, err)
					return
				}
			}
		}()
	}
	wg.Wait()
	eventually(t, "all gone", func() bool { return b.Len() == 0 })
}

func (b *bench) dial(h Handler) (*net.TCPConn, *Conn, error) {
	b.dialing.Lock()
	defer b.dialing.Unlock()
	client, err := net.Dial("tcp", b.listener.Addr().String())
	if err != nil {
		return nil, nil, err
	}
	server, err := b.listener.Accept()
	if err != nil {
		return nil, nil, err
	}
	c, err := b.Park(server, nil, h)
	client.SetDeadline(time.Now().Add(patience))
	return client.(*net.TCPConn), c, err
}

func (b *bench) behave(how int) error {
	h := newEcho()
	client, c, err := b.dial(h)
	if err != nil {
		return err
	}
	defer client.Close()
	secret := make([]byte, 100+mathrand.IntN(5000))
	rand.Read(secret)
	echoed := func(b []byte) error {
		got := make([]byte, len(b))
		if _, err := io.ReadFull(client, got); err != nil {
			return err
		}
		if !bytes.Equal(got, b) {
			return fmt.Errorf("bytes of another connection: %s", hex.EncodeToString(got[:8]))
		}
		return nil
	}
	want := io.EOF
	switch how {
	case 0: // sends, reads, leaves
		client.Write(secret)
		err = echoed(secret)
		client.Close()
	case 1: // byte by byte
		for i := range secret[:100] {
			client.Write(secret[i : i+1])
		}
		err = echoed(secret[:100])
		client.Close()
	case 2: // half close
		client.Write(secret)
		client.CloseWrite()
		if err = echoed(secret); err == nil {
			if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				return fmt.Errorf("after the half close: %d, %v", n, err)
			}
		}
	case 3: // reset
		client.Write(secret)
		client.SetLinger(0)
		client.Close()
		want = nil
	case 4: // leaves at once
		client.Close()
	case 5: // the server closes, from outside, with bytes on their way
		client.Write(secret)
		c.Close(errors.ErrUnsupported)
		_, err = io.Copy(io.Discard, client)
		want = errors.ErrUnsupported
	case 6: // both close at once
		go client.Close()
		c.Close(errors.ErrUnsupported)
		want = nil
	}
	if err != nil {
		return err
	}
	select {
	case err := <-h.closed:
		if want != nil && err != want {
			return fmt.Errorf("closed with %v, want %v", err, want)
		}
		return nil
	case <-time.After(patience):
		return errors.New("Closed did not come")
	}
}

// fill writes until the socket takes no more.
func fill(t testing.TB, c *Conn) {
	t.Helper()
	chunk := make([]byte, 1<<20)
	for range 1000 {
		if err := c.Write(chunk); err == ErrBlocked {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
	t.Fatal("the socket takes everything")
}

func TestNeverReading(t *testing.T) {
	b := start(t, "tcp")
	h := newEcho()
	client, c := b.pair(h)
	fill(t, c)
	if err := c.Write([]byte("x")); err != ErrBlocked {
		t.Error(err)
	}
	other, _ := b.pair(newEcho())
	other.Write([]byte("still here"))
	expect(t, other, []byte("still here"))

	t.Run("it reads after all", func(t *testing.T) {
		go io.Copy(io.Discard, client)
		eventually(t, "Writable", func() bool { return h.writable.Load() > 0 })
		if err := c.Write([]byte("x")); err != nil {
			t.Error(err)
		}
	})
	t.Run("it is closed", func(t *testing.T) {
		h := newEcho()
		_, c := b.pair(h)
		fill(t, c)
		began := time.Now()
		c.Close(errors.ErrUnsupported)
		if err := h.wait(t); err != errors.ErrUnsupported {
			t.Error(err)
		}
		if took := time.Since(began); took < grace || took > 10*time.Second {
			t.Error("closed after", took)
		}
	})
}

func TestCloseWritesWhatIsKept(t *testing.T) {
	b := start(t, "tcp")
	h := newEcho()
	client, c := b.pair(h)
	chunk := make([]byte, 12<<20) // more than the socket takes
	rand.Read(chunk)
	if err := c.Write(chunk); err != nil {
		t.Fatal(err)
	}
	c.Close(nil)
	got, err := io.ReadAll(client)
	if err != nil || !bytes.Equal(got, chunk) {
		t.Error(len(got), err)
	}
	if err := h.wait(t); err != nil {
		t.Error(err)
	}
}

// TestLastWordsArrive: a peer that is still sending gets what was written before Close, not a reset.
func TestLastWordsArrive(t *testing.T) {
	b := start(t, "tcp")
	for range 50 {
		h := newEcho()
		h.read = func(c *Conn, b []byte) int {
			c.Write([]byte("too much"))
			c.Close(nil)
			return len(b)
		}
		client, _ := b.pair(h)
		go client.Write(make([]byte, 1<<20))
		expect(t, client, []byte("too much"))
		if _, err := client.Read(make([]byte, 1)); err != io.EOF {
			t.Fatal(err)
		}
		h.wait(t)
		client.Close()
	}
}

func TestReadThatBlocksDelaysNobody(t *testing.T) {
	b := start(t, "tcp")
	hold := make(chan struct{})
	var handlers []*echo
	for range 200 {
		h := newEcho()
		h.read = func(c *Conn, b []byte) int {
			<-hold
			h.send(c, b)
			return len(b)
		}
		client, _ := b.pair(h)
		client.Write([]byte("wait"))
		handlers = append(handlers, h)
		defer func() { expect(t, client, []byte("wait")) }()
	}
	client, _ := b.pair(newEcho())
	for range 100 {
		client.Write([]byte("ping"))
		expect(t, client, []byte("ping"))
	}
	close(hold)
}

// TestReadThatWaitsForWritable: a close lets it go, whoever closes.
func TestReadThatWaitsForWritable(t *testing.T) {
	b := start(t, "tcp")
	for _, how := range []string{"close", "reset"} {
		h := newEcho()
		blocked := make(chan struct{})
		h.read = func(c *Conn, b []byte) int {
			fill(t, c)
			close(blocked)
			for c.Write(b) == ErrBlocked {
				seen := h.writable.Load()
				eventually(t, "Writable", func() bool { return h.writable.Load() > seen || c.Write(b) != ErrBlocked })
			}
			return len(b)
		}
		client, c := b.pair(h)
		client.Write([]byte("x"))
		<-blocked
		if how == "close" {
			c.Close(nil)
		} else {
			client.(*net.TCPConn).SetLinger(0)
			client.Close()
		}
		err := h.wait(t)
		if (err == nil) != (how == "close") {
			t.Error(how, err)
		}
		eventually(t, "Writable", func() bool { return h.writable.Load() > 0 })
	}
}

func TestPanicClosesOneConnection(t *testing.T) {
	b := start(t, "tcp")
	h := newEcho()
	h.read = func(*Conn, []byte) int { panic("a test's") }
	client, _ := b.pair(h)
	other, _ := b.pair(newEcho())
	client.Write([]byte("x"))
	if err := h.wait(t); err != ErrPanic {
		t.Error(err)
	}
	other.Write([]byte("fine"))
	expect(t, other, []byte("fine"))
}

func TestWake(t *testing.T) {
	b := start(t, "tcp")
	ticks := make(chan time.Time, 10)
	h := newEcho()
	h.tick = func(*Conn) { ticks <- time.Now() }
	_, c := b.pair(h)

	began := time.Now()
	c.Wake(time.Minute)
	c.Wake(250 * time.Millisecond)
	took := (<-ticks).Sub(began)
	if took < 250*time.Millisecond || took > 10*time.Second {
		t.Error("tick after", took)
	}
	c.Wake(150 * time.Millisecond)
	c.Wake(0)
	other := newEcho()
	late := make(chan struct{})
	other.tick = func(*Conn) { close(late) }
	_, o := b.pair(other)
	o.Wake(400 * time.Millisecond)
	<-late
	if len(ticks) > 0 {
		t.Error("a cleared timer ticked")
	}
	c.Wake(100 * time.Millisecond)
	c.Close(nil)
	h.wait(t)
	c.Wake(time.Millisecond)
}

// TestWheelTurns checks times over several turns without waiting for them.
func TestWheelTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := &wheel{began: time.Now()}
		var conns []*Conn
		for i := range 2000 {
			c := &Conn{}
			w.set(c, time.Duration(i)*resolution)
			conns = append(conns, c)
		}
		for i := 0; i < 2000; i += 3 {
			w.clear(conns[i])
		}
		fired := map[*Conn]time.Duration{}
		for at := 7 * resolution; at < 2100*resolution; at += 7 * resolution { // as if the machine slept in between
			time.Sleep(7 * resolution)
			due, sleep := w.turn(nil)
			for _, c := range due {
				if !w.claim(c) {
					t.Fatal("not claimed")
				}
				fired[c] = at
			}
			for i, c := range conns {
				if c.due != 0 && sleep > time.Until(w.began.Add(time.Duration(c.due)*resolution))+resolution {
					t.Fatal("the wheel sleeps for", sleep, "but timer", i, "is due")
				}
			}
			if w.armed == 0 && sleep != forever {
				t.Fatal("the wheel sleeps for", sleep, "without timers")
			}
		}
		for i, c := range conns {
			at, ok := fired[c]
			if ok == (i%3 == 0) {
				t.Fatal("timer", i, "fired:", ok)
			}
			if d := at - time.Duration(i)*resolution; ok && (d < 0 || d > 9*resolution) {
				t.Fatal("timer", i, "is off by", d)
			}
		}
		if w.armed != 0 {
			t.Error("left:", w.armed)
		}
	})
}

func TestStopCutsOff(t *testing.T) {
	e, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	b := start(t, "tcp")
	b.Engine = e
	hold := make(chan struct{})
	in := make(chan struct{})
	h := newEcho()
	h.read = func(c *Conn, b []byte) int { close(in); <-hold; return len(b) }
	client, _ := b.pair(h)
	client.Write([]byte("x"))
	<-in
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := e.Stop(ctx); err != context.DeadlineExceeded {
		t.Error(err)
	}
	close(hold)
	if err := h.wait(t); err != ErrStopped {
		t.Error(err)
	}
	if err := e.Stop(context.Background()); err != nil {
		t.Error(err)
	}
	if server, err := net.Dial("tcp", b.listener.Addr().String()); err != nil {
		t.Error(err)
	} else if _, err := e.Park(server, nil, h); err != ErrStopped {
		t.Error(err)
	}
}

func TestLimitOfOpenFiles(t *testing.T) {
	b := start(t, "tcp")
	kept, _ := b.pair(newEcho())
	client, err := net.Dial("tcp", b.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := b.listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var old syscall.Rlimit
	syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old)
	next, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = uint64(next.Fd()) // the lowest free number is above it, or at it once it is closed
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	next.Close()
	_, err = b.Park(server, nil, newEcho())
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	if !errors.Is(err, syscall.EMFILE) {
		t.Error(err)
	}
	kept.Write([]byte("unharmed"))
	expect(t, kept, []byte("unharmed"))
	h := newEcho()
	if _, err := b.Park(server, nil, h); err != nil { // still the caller's
		t.Fatal(err)
	}
	client.Write([]byte("now"))
	client.SetDeadline(time.Now().Add(patience))
	expect(t, client, []byte("now"))
}

// TestFloodDelaysNobody: peers that send without pause share with one that sends a little.
func TestFloodDelaysNobody(t *testing.T) {
	b := start(t, "tcp")
	for range 8 {
		h := newEcho()
		h.read = func(_ *Conn, b []byte) int { return len(b) }
		client, _ := b.pair(h)
		go func() {
			for chunk := make([]byte, 1<<20); ; {
				if _, err := client.Write(chunk); err != nil {
					return
				}
			}
		}()
	}
	client, _ := b.pair(newEcho())
	for range 50 {
		began := time.Now()
		client.Write([]byte("ping"))
		expect(t, client, []byte("ping"))
		if took := time.Since(began); took > 10*time.Second {
			t.Fatal("answered after", took)
		}
	}
}

// TestStopClosesThousands: each is told, and each peer sees an end.
func TestStopClosesThousands(t *testing.T) {
	b := start(t, "tcp")
	var ends sync.WaitGroup
	var handlers []*echo
	for range 2000 {
		h := newEcho()
		client, c, err := b.dial(h)
		if err != nil {
			t.Fatal(err)
		}
		c.Wake(time.Minute)
		handlers = append(handlers, h)
		ends.Add(1)
		go func() {
			defer ends.Done()
			defer client.Close()
			if n, err := client.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Error(n, err)
			}
		}()
	}
	if n := b.Len(); n != 2000 {
		t.Error("parked:", n)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.Stop(ctx); err != nil {
		t.Error(err)
	}
	ends.Wait()
	for _, h := range handlers {
		if h.closes.Load() != 1 {
			t.Fatal("told", h.closes.Load(), "times")
		}
		if err := h.wait(t); err != ErrStopped {
			t.Fatal(err)
		}
	}
}
