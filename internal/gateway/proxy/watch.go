package proxy

import (
	"sync"
	"time"

	"github.com/headrace/headrace/internal/exchange"
)

// patience is how long an answer may take until it is watched whether the client is still there. Most answers come before.
const patience = time.Second

// watch looks after the client of a request that takes long.
type watch struct {
	mu      sync.Mutex
	timer   *time.Timer
	request exchange.Request // with no more than the connection: the answer outlives the other one
	gone    func()
	end     func()
	over    bool
}

// watchFor calls gone if the client goes away before stop is called, which it must be.
func watchFor(r *exchange.Request, gone func()) *watch {
	w := &watch{gone: gone}
	if r.Standard != nil { // the context of the request tells
		return w
	}
	w.request.RequestCtx = r.RequestCtx
	w.timer = time.AfterFunc(patience, w.look)
	return w
}

func (w *watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.over {
		w.end = w.request.WatchClient(w.gone)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over {
		return
	}
	w.over = true
	if w.timer != nil {
		w.timer.Stop()
	}
	if w.end != nil {
		w.end()
	}
}
