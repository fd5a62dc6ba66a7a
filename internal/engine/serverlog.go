package engine

import (
	"fmt"
	"log/slog"
	"sync/atomic"
)

func newServerLog(log *slog.Logger) *serverLog { return &serverLog{log: log.With("part", "nats")} }

// serverLog passes what the embedded server reports at warn and above to slog, and drops the rest. The server returns no
// error when it cannot start: it calls Fatalf, which is kept for the one who started it.
type serverLog struct {
	log   *slog.Logger
	fatal atomic.Pointer[string]
}

func (l *serverLog) Warnf(format string, args ...any) { l.log.Warn(fmt.Sprintf(format, args...)) }

func (l *serverLog) Errorf(format string, args ...any) { l.log.Error(fmt.Sprintf(format, args...)) }

func (l *serverLog) Fatalf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	l.fatal.Store(&text)
	l.log.Error(text)
}

func (l *serverLog) Noticef(string, ...any) {}
func (l *serverLog) Debugf(string, ...any)  {}
func (l *serverLog) Tracef(string, ...any)  {}
