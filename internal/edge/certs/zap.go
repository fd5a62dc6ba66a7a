package certs

import (
	"context"
	"log/slog"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// bridge lets certmagic write to our log. Its steps are of interest to those who look for a fault only.
func bridge(log *slog.Logger) *zap.Logger { return zap.New(&core{log: log}) }

type core struct{ log *slog.Logger }

func level(l zapcore.Level) slog.Level {
	switch {
	case l <= zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Enabled implements zapcore.LevelEnabler.
func (c *core) Enabled(l zapcore.Level) bool { return c.log.Enabled(context.Background(), level(l)) }

// With implements zapcore.Core.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.log.With(attributes(fields)...)}
}

// Check implements zapcore.Core.
func (c *core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return to.AddCore(e, c)
	}
	return to
}

// Write implements zapcore.Core.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	l := level(e.Level)
	if e.Message == "stapling OCSP" { // said of every certificate whose authority has no OCSP, as most have none any more
		l = slog.LevelDebug
	}
	c.log.Log(context.Background(), l, e.Message, attributes(fields)...)
	return nil
}

// Sync implements zapcore.Core.
func (c *core) Sync() error { return nil }

func attributes(fields []zapcore.Field) []any {
	e := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(e)
	}
	list := make([]any, 0, len(e.Fields))
	for name, value := range e.Fields {
		list = append(list, slog.Any(name, value))
	}
	return list
}
