package door

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// lingerTime is how long a connection with HTTP/3 must have been without requests before it is closed at the end of the door: the client knows of the
// end by then, and has its last answer.
const lingerTime = time.Second

// visits knows which connections with HTTP/3 have requests.
type visits struct {
	mu  sync.Mutex
	all map[*quic.Conn]*visit
}

type visit struct {
	running atomic.Int64
	rested  atomic.Int64 // since when there is no request; Unix nanoseconds
}

type visitKey struct{}

// begin is for a connection that is to be served; end forgets it.
func (v *visits) begin(c *quic.Conn) (end func()) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.all[c] = &visit{}
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		delete(v.all, c)
	}
}

// with is a context of the requests of a connection.
func (v *visits) with(ctx context.Context, c *quic.Conn) context.Context {
	v.mu.Lock()
	defer v.mu.Unlock()
	return context.WithValue(ctx, visitKey{}, v.all[c])
}

// around counts the requests of a handler.
func (v *visits) around(to http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		one, _ := r.Context().Value(visitKey{}).(*visit)
		one.running.Add(1)
		defer func() {
			one.rested.Store(time.Now().UnixNano())
			one.running.Add(-1)
		}()
		to.ServeHTTP(w, r)
	})
}

// dismiss closes connections that have no request for lingerTime, until over. Clients should do so themselves when they are told of the end, and
// some do not.
func (v *visits) dismiss(over <-chan struct{}) {
	began := time.Now()
	tick := time.NewTicker(lingerTime / 10)
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
		}
		if time.Since(began) < lingerTime {
			continue
		}
		v.mu.Lock()
		for c, one := range v.all {
			if one.running.Load() == 0 && time.Since(time.Unix(0, one.rested.Load())) >= lingerTime {
				_ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
			}
		}
		v.mu.Unlock()
	}
}
