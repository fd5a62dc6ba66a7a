package proxy

import (
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/upstream"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// conditionsOfRetry are those after which a request is sent again.
type conditionsOfRetry struct {
	connect, reset, timeout bool
	status                  [600]bool
	some                    bool // some status
}

func newConditions(on []string) (c conditionsOfRetry) {
	for _, what := range on {
		switch what {
		case "connect":
			c.connect = true
		case "reset":
			c.reset = true
		case "timeout":
			c.timeout = true
		default:
			if n, err := strconv.Atoi(what); err == nil && n > 0 && n < len(c.status) {
				c.status[n], c.some = true, true
			}
		}
	}
	return c
}

// after tells whether a request may be sent again after a failure. resend says that its method is one that may be sent twice.
func (c *conditionsOfRetry) after(e *upstream.Error, resend bool) bool {
	switch {
	case e.Stage == upstream.Source || e.Stage == upstream.Body:
		return false
	case !e.Sent:
		return c.connect && e.Stage != upstream.Busy
	case !resend || e.Malformed:
		return false
	case e.Timeout:
		return c.timeout
	}
	return c.reset
}

// failure is the answer for a request that could not be passed on. Addresses of targets stay in the log.
func (w *way) failure(e *upstream.Error, log *slog.Logger, target *balance.Target) error {
	if e.Stage == upstream.Source {
		var p *problem.Error
		if errors.As(e.Err, &p) {
			return p
		}
		return problem.New("HR1004", "the body ended early")
	}
	w.warn(log, target, e)
	name := w.Title()
	switch {
	case e.Stage == upstream.Busy:
		return problem.New("HR4009", "all connections to %s are in use", name)
	case e.Stage == upstream.Connect && e.Timeout:
		return problem.New("HR4007", "%s did not take a connection in time", name)
	case e.Stage == upstream.Connect:
		return problem.New("HR4004", "%s cannot be reached", name)
	case e.Timeout:
		return problem.New("HR4008", "%s did not answer in time", name)
	case e.Malformed:
		return problem.New("HR4006", "%s gave an answer that is not HTTP: %s", name, e.Err)
	}
	return problem.New("HR4005", "%s broke the connection", name)
}

// warned is when a failure was logged last.
type warned struct{ at atomic.Int64 }

// warn logs a failure, at most once a second for an upstream.
func (w *way) warn(log *slog.Logger, target *balance.Target, err error) {
	now := time.Now().Unix()
	if last := w.warned.at.Load(); last == now || !w.warned.at.CompareAndSwap(last, now) {
		return
	}
	log.Warn("upstream failed", "upstream", w.Name(), "target", target.Name(), observe.Error(err))
}

// hasher makes the number that balance hash chooses a target by.
func hasher(by string) func(*exchange.Request) uint64 {
	address := func(r *exchange.Request) uint64 {
		a := r.Client().As16()
		return xxhash.Sum64(a[:])
	}
	kind, name, _ := strings.Cut(by, ":")
	value := func(r *exchange.Request) []byte { return r.Request.Header.Peek(name) }
	switch kind {
	case "cookie":
		value = func(r *exchange.Request) []byte { return cookie(r, name) }
	case "header":
	default:
		return address
	}
	return func(r *exchange.Request) uint64 {
		if v := value(r); len(v) > 0 {
			return xxhash.Sum64(v)
		}
		return address(r)
	}
}
