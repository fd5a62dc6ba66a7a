// Package observe is what headrace tells about itself: logs, metrics, health conditions and traces. Nothing in it is global;
// internal/app makes one of each and hands them to the planes.
package observe

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"

	"github.com/headrace/headrace/internal/problem"
)

// LogOptions say how a log is written.
type LogOptions struct {
	Level    string // debug, info, warn or error; anything else is info
	Format   string // text, json, or auto: text on a terminal and json otherwise
	Terminal bool   // the writer is a terminal
}

// NewLog returns a logger that writes to w, and the level to change it by.
func NewLog(w io.Writer, o LogOptions) (*slog.Logger, *slog.LevelVar) {
	level := new(slog.LevelVar)
	if err := level.UnmarshalText([]byte(o.Level)); err != nil {
		level.Set(slog.LevelInfo)
	}
	switch {
	case o.Format == "json", o.Format != "text" && !o.Terminal:
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level, ReplaceAttr: withUnit})), level
	default:
		return slog.New(newTextHandler(w, level)), level
	}
}

// withUnit writes durations as text does, as in 1.5s; JSON would have them in nanoseconds.
func withUnit(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		return slog.String(a.Key, a.Value.Duration().String())
	}
	return a
}

// Error is the attribute for an error: its text, and the code if it is a problem.
func Error(err error) slog.Attr {
	var p *problem.Error
	if !errors.As(err, &p) {
		return slog.String("error", err.Error())
	}
	attrs := []any{slog.String("error", p.What), slog.String("code", p.Code)}
	if p.Where != "" {
		attrs = append(attrs, slog.String("where", p.Where))
	}
	return slog.Group("", append(attrs, slog.String("hint", p.Hint))...)
}

// textHandler writes lines for people: `15:04:05 INFO  message  key=value`.
type textHandler struct {
	attrs slog.Handler // writes what follows the message to line
	line  *line
}

// line is shared by all handlers derived from one.
type line struct {
	sync.Mutex
	w   io.Writer
	buf bytes.Buffer
}

func newTextHandler(w io.Writer, level slog.Leveler) *textHandler {
	l := &line{w: w}
	drop := func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey) {
			return slog.Attr{}
		}
		return a
	}
	return &textHandler{slog.NewTextHandler(&l.buf, &slog.HandlerOptions{Level: level, ReplaceAttr: drop}), l}
}

func (h *textHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.attrs.Enabled(ctx, level)
}

func (h *textHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &textHandler{h.attrs.WithAttrs(attrs), h.line}
}

func (h *textHandler) WithGroup(name string) slog.Handler {
	return &textHandler{h.attrs.WithGroup(name), h.line}
}

func (h *textHandler) Handle(ctx context.Context, r slog.Record) error {
	h.line.Lock()
	defer h.line.Unlock()
	b := &h.line.buf
	b.Reset()
	b.WriteString(r.Time.Format("15:04:05"))
	level := r.Level.String()
	b.WriteString(" " + level + "      "[:max(1, 6-len(level))] + r.Message + "  ")
	if err := h.attrs.Handle(ctx, r); err != nil {
		return err
	}
	_, err := h.line.w.Write(append(bytes.TrimRight(b.Bytes(), " \n"), '\n'))
	return err
}
