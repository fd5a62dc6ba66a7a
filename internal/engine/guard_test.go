package engine

import (
	"errors"
	"log/slog"
	"testing"
)

func TestGuardAtItsEdges(t *testing.T) {
	const limit = 100 << 20
	g := newGuard(t.TempDir(), limit, slog.New(slog.DiscardHandler))
	for _, step := range []struct {
		free   int64
		err    error
		closed bool
	}{
		{limit, nil, false},
		{limit - 1, nil, true},
		{limit, nil, true},
		{0, errors.New("statfs"), true}, // not known: as it was
		{limit + limit/10 - 1, nil, true},
		{limit + limit/10, nil, false},
		{0, errors.New("statfs"), false},
	} {
		g.measure = func(string) (int64, error) { return step.free, step.err }
		g.look()
		if closed := g.closed.Load() != nil; closed != step.closed {
			t.Errorf("%d free: closed is %v", step.free, closed)
		}
	}
}

func TestAdmitWhenDiskIsFull(t *testing.T) {
	e := open(t, Config{MinFree: 1 << 60, MaxStore: 1 << 30})
	wantCode(t, e.Admit(), "HR5002")
	if condition := e.Health()[1]; condition.OK {
		t.Fatalf("%+v", condition)
	}
	// Work that runs goes on.
	js := connect(t, e)
	_, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	_, err = js.Publish(t.Context(), "orders.1", nil)
	must(t, err)
	must(t, e.Commit(t.Context(), "ORDERS"))
	off := open(t, Config{MinFree: -1})
	must(t, off.Admit())
}

func BenchmarkAdmit(b *testing.B) {
	e := open(b, Config{})
	for b.Loop() {
		if e.Admit() != nil {
			b.Fatal("refused")
		}
	}
}
