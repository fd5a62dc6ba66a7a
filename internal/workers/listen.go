package workers

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// Blobs is the store behind the blobs of remote workers.
type Blobs interface {
	// Open returns the bytes of a blob and how many they are; HR5006 if there is none.
	Open(digest string) (io.ReadCloser, int64, error)
	// Put stores a blob and returns its digest, sha256: and 64 hex digits.
	Put(r io.Reader, mediaType, name string) (digest string, err error)
}

const (
	prefaceWait = 10 * time.Second // from the connection to the end of its preface
	blobStall   = time.Minute      // a blob whose bytes do not move for this long is given up
)

// Listener accepts remote workers of named pools. Each connection is one worker process, or the transfer of one blob.
type Listener struct {
	listener net.Listener
	token    token
	find     func(pool string) *Pool
	blobs    Blobs
	log      *slog.Logger

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	done  bool
	live  sync.WaitGroup
}

// Listen opens the door for remote workers at addr. folder keeps the certificate, its key and the token file, which are made if
// they are not there; find returns a pool by its name or nil. Errors are HR9004 for the address and HR6007 for the folder.
func Listen(addr, folder string, find func(pool string) *Pool, blobs Blobs, log *slog.Logger) (*Listener, error) {
	cert, t, err := identity(folder)
	if err != nil {
		return nil, problem.New("HR6007", "no certificate for remote workers: %w", err).At(folder)
	}
	ln, err := tls.Listen("tcp", addr, &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, problem.New("HR9004", "remote workers cannot be accepted: %w", err).At(addr)
	}
	l := &Listener{listener: ln, token: t, find: find, blobs: blobs, log: log, conns: map[net.Conn]struct{}{}}
	l.live.Add(1)
	go l.accept()
	return l, nil
}

// Addr is where it listens.
func (l *Listener) Addr() net.Addr { return l.listener.Addr() }

// Stop closes the door and every connection, and waits for them or for ctx.
func (l *Listener) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.done = true
	err := l.listener.Close()
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	ended := make(chan struct{})
	go func() { l.live.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-ctx.Done():
		return ctx.Err()
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (l *Listener) accept() {
	defer l.live.Done()
	for pause := time.Duration(0); ; {
		conn, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil { // out of descriptors, say
			pause = min(time.Second, max(5*time.Millisecond, 2*pause))
			l.log.Error("remote worker cannot be accepted", "error", err)
			time.Sleep(pause)
			continue
		}
		pause = 0
		l.mu.Lock()
		if l.done {
			l.mu.Unlock()
			_ = conn.Close()
			return
		}
		l.conns[conn] = struct{}{}
		l.live.Add(1)
		l.mu.Unlock()
		go func() {
			defer l.live.Done()
			l.serve(conn)
			_ = conn.Close()
			l.mu.Lock()
			delete(l.conns, conn)
			l.mu.Unlock()
		}()
	}
}

func (l *Listener) serve(conn net.Conn) {
	from := conn.RemoteAddr().String()
	_ = conn.SetDeadline(time.Now().Add(prefaceWait))
	line, err := readLine(conn)
	if err != nil {
		l.log.Debug("remote connection ended before its preface", "from", from, "error", err)
		return
	}
	p, err := parsePreface(line)
	if err != nil {
		refuse(conn, problem.New("HR6001", "%w", err))
		return
	}
	if subtle.ConstantTimeCompare([]byte(p.secret), []byte(l.token.secret)) != 1 {
		l.log.Warn("remote worker refused", "from", from)
		refuse(conn, problem.New("HR6007", "the token is not the one of this server"))
		return
	}
	_ = conn.SetDeadline(time.Time{})
	switch p.verb {
	case "worker":
		err = l.worker(conn, p.words[0], p.words[1])
	case "get":
		err = l.get(conn, p.words[0])
	case "put":
		err = l.put(conn, p.words)
	}
	if err != nil {
		l.log.Warn("remote connection failed", "from", from, "verb", p.verb, "error", err)
	}
}

func (l *Listener) worker(conn net.Conn, pool, name string) error {
	found := l.find(pool)
	if found == nil {
		p := problem.New("HR6008", "there is no pool %s", pool)
		refuse(conn, p)
		return p
	}
	if err := answer(conn); err != nil {
		return err
	}
	return found.join(conn, name)
}

func (l *Listener) get(conn net.Conn, digest string) error {
	r, size, err := l.blobs.Open(digest)
	if err != nil {
		refuse(conn, problem.From(err))
		return err
	}
	defer r.Close()
	if err := answer(conn, size); err != nil {
		return err
	}
	_, err = io.CopyN(moving{conn}, r, size)
	return err
}

func (l *Listener) put(conn net.Conn, words []string) error {
	size, err := strconv.ParseInt(words[0], 10, 64)
	if err != nil || size < 0 {
		refuse(conn, problem.New("HR6001", "%q is not a size", words[0]))
		return err
	}
	body := &whole{r: moving{conn}, left: size}
	digest, err := l.blobs.Put(body, words[1], words[2])
	if err != nil {
		refuse(conn, problem.From(err))
		return err
	}
	return answer(conn, digest)
}

// moving gives up when no bytes move for blobStall.
type moving struct{ net.Conn }

func (m moving) Read(b []byte) (int, error) {
	_ = m.SetReadDeadline(time.Now().Add(blobStall))
	return m.Conn.Read(b)
}

func (m moving) Write(b []byte) (int, error) {
	_ = m.SetWriteDeadline(time.Now().Add(blobStall))
	return m.Conn.Write(b)
}

// whole reads exactly so many bytes: an early end is an error, so that half a blob is never stored.
type whole struct {
	r    io.Reader
	left int64
}

func (w *whole) Read(b []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	n, err := w.r.Read(b[:min(int64(len(b)), w.left)])
	if w.left -= int64(n); w.left > 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}
