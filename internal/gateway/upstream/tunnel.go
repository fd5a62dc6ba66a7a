package upstream

import (
	"io"
	"net"
	"sync"
	"time"
)

// Conn is a connection after the target has switched protocols. It has no deadlines; it counts among MaxConns until it is closed.
type Conn struct {
	net.Conn // the connection itself

	k     *conn
	ahead []byte // came with the answer
	once  sync.Once
}

func (k *conn) tunnel() *Conn {
	k.skip()
	t := &Conn{Conn: k.socket, k: k, ahead: append([]byte(nil), k.buffered()...)}
	k.release()
	k.gone = nil
	_ = k.socket.SetDeadline(time.Time{})
	return t
}

// Read implements net.Conn.
func (t *Conn) Read(p []byte) (int, error) {
	if len(t.ahead) > 0 {
		n := copy(p, t.ahead)
		if t.ahead = t.ahead[n:]; len(t.ahead) == 0 {
			t.ahead = nil
		}
		return n, nil
	}
	return t.Conn.Read(p)
}

// WriteTo implements io.WriterTo; between two sockets the system copies.
func (t *Conn) WriteTo(w io.Writer) (int64, error) {
	n, err := w.Write(t.ahead)
	t.ahead = t.ahead[n:]
	if err != nil {
		return int64(n), err
	}
	more, err := io.Copy(w, t.Conn)
	return int64(n) + more, err
}

// ReadFrom implements io.ReaderFrom; between two sockets the system copies.
func (t *Conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(t.Conn, r) }

// CloseWrite tells the target that nothing more comes.
func (t *Conn) CloseWrite() error {
	if c, ok := t.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return net.ErrClosed
}

// Close implements net.Conn.
func (t *Conn) Close() error {
	t.once.Do(func() { t.k.client.drop(t.k) })
	return nil
}
