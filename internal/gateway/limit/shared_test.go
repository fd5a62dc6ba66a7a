package limit

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
)

func openEngine(t testing.TB, folder string) *engine.Engine {
	t.Helper()
	e, err := engine.Open(t.Context(), engine.Config{Data: folder, MinFree: -1}, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	return e
}

func stop(t testing.TB, e *engine.Engine) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := e.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func node(t testing.TB, e *engine.Engine) *Store {
	s := NewStore(Deps{Engine: e, Log: quiet(t)})
	s.pool.patience, s.pool.answerIn = 10*time.Second, 10*time.Second // the machine may be busy
	t.Cleanup(s.Close)
	return s
}

// rested waits until the store asks the engine for nothing.
func rested(t testing.TB, s *Store) {
	asks := func() bool {
		for i := range s.shards {
			sh := &s.shards[i]
			sh.mu.Lock()
			for _, e := range sh.entries {
				if e.lease != nil && e.lease.asking != nil {
					sh.mu.Unlock()
					return true
				}
			}
			sh.mu.Unlock()
		}
		return false
	}
	for deadline := time.Now().Add(30 * time.Second); asks(); <-time.After(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the engine is still asked")
		}
	}
}

// Two nodes that ask as fast as they can let no more pass together than the bucket holds and refills, but for a twentieth of the burst each,
// and hardly less.
func TestSharedBound(t *testing.T) {
	e := openEngine(t, filepath.Join(t.TempDir(), "data"))
	c := config.Limit{Rate: rate(t, "1000/s"), Burst: 200, Shared: true}
	const nodes = 2
	stores := [nodes]*Store{node(t, e), node(t, e)}
	for _, s := range stores { // the stream is made before the time is taken
		s.Limiter("warm", c).Take([]byte("k"))
	}
	const lasts = 2 * time.Second
	begin := time.Now()
	counts := make(chan int, nodes*2)
	for i := range nodes * 2 {
		go func() {
			l, n := stores[i%nodes].Limiter("x", c), 0
			for time.Since(begin) < lasts {
				v := l.Take([]byte("k"))
				if v.OK {
					n++
					continue
				}
				<-time.After(min(v.Retry, time.Millisecond))
			}
			counts <- n
		}()
	}
	total := 0
	for range nodes * 2 {
		total += <-counts
	}
	took := time.Since(begin)
	most := 200 + int(took.Seconds()*1000) + nodes*10 + 1
	t.Logf("%d passed in %s, at most %d; leases %d and %d, conflicts %d and %d", total, took, most, stores[0].pool.leases.Load(), stores[1].pool.leases.Load(),
		stores[0].pool.conflicts.Load(), stores[1].pool.conflicts.Load())
	if total > most {
		t.Error("too many")
	}
	if total < most*7/10 {
		t.Error("too few")
	}
	if n := stores[0].pool.failures.Load() + stores[1].pool.failures.Load(); n > 0 {
		t.Error(n, "leases failed")
	}
}

// A small limit is exact but for one request of each node, wherever the requests come.
func TestSharedSmall(t *testing.T) {
	e := openEngine(t, filepath.Join(t.TempDir(), "data"))
	c := config.Limit{Rate: rate(t, "10/h"), Shared: true}
	a, b := node(t, e).Limiter("x", c), node(t, e).Limiter("x", c)
	passed := 0
	for range 50 {
		for _, l := range []*Limiter{a, b} {
			if l.Take([]byte("k")).OK {
				passed++
			}
		}
	}
	if passed < 9 || passed > 10 {
		t.Errorf("%d passed", passed)
	}
	if v := a.Take([]byte("k")); v.OK || v.Retry <= 0 || v.Retry > time.Hour {
		t.Errorf("%+v", v)
	}
	if v := b.Take([]byte("another")); !v.OK {
		t.Errorf("%+v", v)
	}
}

// A shared limit outlives the process.
func TestSharedRestart(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "data")
	c := config.Limit{Rate: rate(t, "10/h"), Shared: true}
	e, err := engine.Open(t.Context(), engine.Config{Data: folder, MinFree: -1}, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	s := node(t, e)
	for range 10 {
		if !s.Limiter("x", c).Take([]byte("k")).OK {
			t.Fatal("refused")
		}
	}
	s.Close()
	stop(t, e)
	if node(t, openEngine(t, folder)).Limiter("x", c).Take([]byte("k")).OK {
		t.Error("passed after the restart")
	}
}

// Without the engine a node counts alone, by the whole limit, and goes on from what it knew.
func TestSharedAlone(t *testing.T) {
	e, err := engine.Open(t.Context(), engine.Config{Data: filepath.Join(t.TempDir(), "data"), MinFree: -1}, quiet(t))
	if err != nil {
		t.Fatal(err)
	}
	s := node(t, e)
	c := config.Limit{Rate: rate(t, "100/h"), Shared: true}
	l := s.Limiter("x", c)
	for range 20 {
		if !l.Take([]byte("k")).OK {
			t.Fatal("refused")
		}
	}
	rested(t, s)
	stop(t, e)
	s.pool.patience, s.pool.answerIn = patience, answers
	begin, passed := time.Now(), 20
	for range 200 {
		if l.Take([]byte("k")).OK {
			passed++
		}
	}
	if passed < 95 || passed > 106 {
		t.Errorf("%d passed", passed)
	}
	if took := time.Since(begin); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
	if s.pool.failures.Load() == 0 {
		t.Error("no failure is counted")
	}
}

func BenchmarkShared(b *testing.B) {
	s := node(b, openEngine(b, filepath.Join(b.TempDir(), "data")))
	l := s.Limiter("x", config.Limit{Rate: rate(b, "100000000/s"), Shared: true})
	b.ReportAllocs()
	for b.Loop() {
		if !l.Take([]byte("k")).OK {
			b.Fatal("refused")
		}
	}
}
