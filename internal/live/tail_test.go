package live

import (
	"context"
	"strings"
	"testing"
	"time"
)

// One who tails and is behind loses what does not fit, is told how much, and goes on.
func TestTailIsBounded(t *testing.T) {
	l := newRig(t, nil, nil)
	publish := func(channel, data string) {
		t.Helper()
		if _, err := l.Publish(t.Context(), channel, []byte(data), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	next := func(tail *Tail, items int, missed uint64) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), wait)
		defer cancel()
		got, m, err := tail.Next(ctx)
		if err != nil || len(got) != items || m != missed {
			t.Fatalf("got %d items and missed %d (%v), want %d and %d", len(got), m, err, items, missed)
		}
	}
	tail := l.Tail("a*")
	for range tailItems {
		publish("about", "1")
		publish("other", "2")
	}
	next(tail, tailItems, 0)
	for range tailItems + 3 {
		publish("about", "1")
	}
	next(tail, tailItems, 3)
	large := `"` + strings.Repeat("x", 64<<10-2) + `"`
	for range tailBytes>>16 + 2 {
		publish("about", large)
	}
	next(tail, tailBytes>>16, 2)
	publish("about", "1")
	next(tail, 1, 0)
	tail.Close()
	publish("about", "1")
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if got, _, err := tail.Next(ctx); err == nil {
		t.Errorf("got %v after the end", got)
	}
}
