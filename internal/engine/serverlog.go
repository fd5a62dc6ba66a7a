package engine

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

// serverLog passes what the embedded server reports at warn and above to slog, and drops the rest. A write error of a
// stream reaches nobody else when no publisher waits for it, so the last error is kept for the health condition.
type serverLog struct {
	log  *slog.Logger
	last atomic.Pointer[string]
}

func (l *serverLog) Warnf(format string, args ...any) { l.log.Warn(fmt.Sprintf(format, args...)) }

func (l *serverLog) Errorf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.last.Store(&text)
	l.log.Error(text)
}

func (l *serverLog) Fatalf(format string, args ...any) { l.Errorf(format, args...) }

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}
