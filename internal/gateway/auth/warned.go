package auth

import (
	"log/slog"
	"sync/atomic"
	"time"
)

// warned is when somebody who decides failed and it was logged, in Unix seconds.
type warned struct{ at atomic.Int64 }

// warn logs at most once a second: failures may be as many as requests.
func (w *warned) warn(log *slog.Logger, what string, args ...any) {
	now := time.Now().Unix()
	if last := w.at.Load(); last != now && w.at.CompareAndSwap(last, now) {
		log.Warn(what, args...)
	}
}
