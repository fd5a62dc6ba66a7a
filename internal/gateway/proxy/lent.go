package proxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/problem"
)

// lent is the body of a request that is read by the transport of HTTP/2, in a goroutine of its own, while the answer is on its way. When
// the exchange is over nobody may read any more.
type lent struct {
	from  io.Reader
	conn  net.Conn      // of a client with HTTP/1.1; nil with HTTP/2, whose bodies may be read at any time
	idle  time.Duration // between two pieces
	limit exchange.Limit
	free  bool // there is no limit

	trailer http.Header // that may follow; nil if none was announced
	arrived func()      // fills it

	reading sync.Mutex // held while conn is read
	mu      sync.Mutex
	read    bool
	over    bool
	count   int64
	err     error // why the client's part failed
}

var errOver = errors.New("the exchange is over")

// Read implements io.Reader.
func (l *lent) Read(p []byte) (int, error) {
	l.reading.Lock()
	defer l.reading.Unlock()
	l.mu.Lock()
	l.read = true
	if l.over {
		l.mu.Unlock()
		return 0, errOver
	}
	if l.conn != nil && l.idle > 0 {
		_ = l.conn.SetReadDeadline(time.Now().Add(l.idle))
	}
	l.mu.Unlock()
	n, err := l.from.Read(p)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count += int64(n)
	var network net.Error
	switch {
	case !l.free && !l.limit.Allows(l.count):
		n, err = 0, l.limit.Exceeded()
	case err == io.EOF && l.arrived != nil:
		l.arrived()
		return n, err
	case err == nil || err == io.EOF:
		return n, err
	case errors.As(err, &network) && network.Timeout():
		err = problem.New("HR1010", "the rest of the body did not come within %s", l.idle)
	default:
		err = problem.New("HR1004", "the body ended early")
	}
	if !l.over {
		l.err = err
	}
	return n, err
}

// begun tells whether anything was read.
func (l *lent) begun() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.read
}

// failure is why the client's part failed; nil if it did not.
func (l *lent) failure() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close implements io.Closer: when it returns nobody reads. The transport calls it as well, when it needs no more.
func (l *lent) Close() error {
	l.mu.Lock()
	l.over = true
	if l.conn != nil {
		_ = l.conn.SetReadDeadline(time.Unix(1, 0))
	}
	l.mu.Unlock()
	if l.conn != nil {
		l.reading.Lock()
		l.reading.Unlock() //nolint:staticcheck // a read that was under way is over
	}
	return nil
}
