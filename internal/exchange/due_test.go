package exchange

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// guests is a connection of a door, and its other end.
func guests(t *testing.T) (*guest, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = client.Close(), c.Close() })
	return newGuest(c.(*net.TCPConn), &Server{}), client
}

const soon, never = 20 * time.Millisecond, time.Hour

// A read whose deadline was moved outlasts the earlier one, which is all that the socket knows.
func TestReadDeadlineMoves(t *testing.T) {
	for name, moved := range map[string]time.Time{"later": time.Now().Add(never), "none": {}} {
		g, client := guests(t)
		_ = g.SetReadDeadline(time.Now().Add(soon))
		_ = g.SetReadDeadline(moved)
		time.AfterFunc(3*soon, func() { _, _ = io.WriteString(client, "x") })
		var b [1]byte
		if n, err := g.Read(b[:]); n != 1 || err != nil {
			t.Errorf("%s: %d %v", name, n, err)
		}
		time.AfterFunc(soon, func() { _ = g.SetReadDeadline(time.Unix(1, 0)) }) // by somebody else, while it waits
		if n, err := g.Read(b[:]); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: cut: %d %v", name, n, err)
		}
		_ = g.SetDeadline(time.Now().Add(never))
		_, _ = io.WriteString(client, "y")
		if n, err := g.Read(b[:]); n != 1 || err != nil {
			t.Errorf("%s: after the cut: %d %v", name, n, err)
		}
		_ = g.SetReadDeadline(time.Now().Add(soon)) // earlier than what the socket knows
		if n, err := g.Read(b[:]); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: shortened: %d %v", name, n, err)
		}
	}
}

// So does a write, which goes on where it was, and what the kernel sends.
func TestWriteDeadlineMoves(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<20) // more than the sockets hold
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, []byte(large), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, write := range map[string]func(*guest) (int64, error){
		"write": func(g *guest) (int64, error) { n, err := g.Write([]byte(large)); return int64(n), err },
		"file": func(g *guest) (int64, error) {
			f, err := os.Open(path)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			return g.ReadFrom(f)
		},
	} {
		g, client := guests(t)
		_ = g.SetWriteDeadline(time.Now().Add(soon))
		_ = g.SetWriteDeadline(time.Now().Add(never))
		read := make(chan []byte, 1)
		time.AfterFunc(3*soon, func() {
			got, _ := io.ReadAll(client)
			read <- got
		})
		if n, err := write(g); n != int64(len(large)) || err != nil {
			t.Errorf("%s: %d %v", name, n, err)
		}
		_ = g.CloseWrite()
		if got := <-read; !bytes.Equal(got, []byte(large)) {
			t.Errorf("%s: %d bytes came", name, len(got))
		}
		g, _ = guests(t)
		_ = g.SetWriteDeadline(time.Now().Add(soon))
		if n, err := write(g); n == int64(len(large)) || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s that nobody reads: %d %v", name, n, err)
		}
	}
}
