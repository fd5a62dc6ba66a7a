package limit

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/headrace/headrace/internal/config"
)

func rate(t testing.TB, text string) config.Rate {
	t.Helper()
	r, err := config.ParseRate(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func quiet(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func newStore(t testing.TB, keys int) *Store {
	s := NewStore(Deps{Log: quiet(t), Keys: keys})
	t.Cleanup(s.Close)
	return s
}

// Many goroutines at one moment get exactly the burst, and then exactly what the rate refills.
func TestBucketIsExact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, 0)
		l := s.Limiter("x", config.Limit{Rate: rate(t, "100/s"), Burst: 250})
		many := func() (n int64) {
			var passed atomic.Int64
			var group sync.WaitGroup
			for range 8 {
				group.Go(func() {
					for range 100 {
						if l.Take([]byte("k")).OK {
							passed.Add(1)
						}
					}
				})
			}
			group.Wait()
			return passed.Load()
		}
		if n := many(); n != 250 {
			t.Error(n)
		}
		v := l.Take([]byte("k"))
		if v.OK || v.Retry != 10*time.Millisecond || v.Reset != 2500*time.Millisecond {
			t.Errorf("%+v", v)
		}
		time.Sleep(v.Retry)
		if n := many(); n != 1 {
			t.Error(n)
		}
		time.Sleep(time.Second)
		if n := many(); n != 100 {
			t.Error(n)
		}
		if v := l.Take([]byte("another")); !v.OK || v.Remaining != 249 {
			t.Errorf("%+v", v)
		}
	})
}

// No time as long as that of the rate has more than its count, and who keeps asking gets nearly all of it.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, 0)
		l := s.Limiter("x", config.Limit{Rate: rate(t, "50/10s"), Algorithm: "sliding_window"})
		random := rand.New(rand.NewPCG(1, 2))
		var passed []time.Time
		begin := time.Now()
		for time.Since(begin) < 10*time.Minute {
			v := l.Take([]byte("k"))
			now := time.Now()
			if v.OK {
				passed = append(passed, now)
				if first := len(passed) - 51; first >= 0 && now.Sub(passed[first]) < 10*time.Second {
					t.Fatalf("51 requests in %s", now.Sub(passed[first]))
				}
			} else if v.Retry <= 0 || v.Retry > 11*time.Second {
				t.Fatalf("%+v", v)
			} else if random.IntN(4) == 0 {
				time.Sleep(v.Retry)
				if !l.Take([]byte("k")).OK {
					t.Fatal("retry was not enough")
				}
				passed = append(passed, time.Now())
			}
			time.Sleep(time.Duration(random.IntN(300)) * time.Millisecond)
		}
		if n := len(passed); n < 60*50*9/10 {
			t.Errorf("%d of %d", n, 60*50)
		}
	})
}

func TestGiveBack(t *testing.T) {
	for _, c := range []config.Limit{{Rate: rate(t, "3/m")}, {Rate: rate(t, "3/m"), Algorithm: "sliding_window"}} {
		l := newStore(t, 0).Limiter("x", c)
		for range 100 {
			v, at := l.take([]byte("k"))
			if !v.OK || v.Remaining != 2 {
				t.Fatalf("%+v", v)
			}
			l.giveBack(at)
		}
	}
}

// The store holds no more keys than it may, forgets those first that have used the least, and drops those that are full again.
func TestKeysAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, 64*100)
		l := s.Limiter("x", config.Limit{Rate: rate(t, "10/m")})
		for range 10 {
			l.Take([]byte("heavy"))
		}
		for i := range 50_000 {
			l.Take(fmt.Appendf(nil, "%d", i))
		}
		if n := s.keys(); n > 6400 || n < 6000 {
			t.Error(n)
		}
		if s.forgotten.Load() == 0 {
			t.Error("nothing was forgotten")
		}
		if l.Take([]byte("heavy")).OK {
			t.Error("the heavy key was forgotten")
		}
		time.Sleep(2 * time.Minute)
		before := s.forgotten.Load()
		for i := range 3200 {
			l.Take(fmt.Appendf(nil, "later %d", i))
		}
		if s.forgotten.Load() != before {
			t.Error("keys were forgotten while others had expired")
		}
	})
}

func TestTake(t *testing.T) {
	s := newStore(t, 0)
	for i := range 3 {
		if ok, _, remaining := s.Take("quota", "k", rate(t, "3/h"), 0); !ok || remaining != 2-i {
			t.Error(ok, remaining)
		}
	}
	if ok, retry, _ := s.Take("quota", "k", rate(t, "3/h"), 0); ok || retry <= 0 || retry > 20*time.Minute {
		t.Error(ok, retry)
	}
	// The limit of that name on a route counts the same.
	if s.Limiter("quota", config.Limit{Rate: rate(t, "3/h")}).Take([]byte("k")).OK {
		t.Error("limits of one name do not share what they count")
	}
	// Values at the edges do not overflow.
	if ok, _, _ := s.Take("edge", "k", config.Rate{N: 1, Per: 1 << 62}, 1<<31-1); !ok {
		t.Error("refused")
	}
}

func TestAddress(t *testing.T) {
	for address, want := range map[string]string{"10.1.2.3": "10.1.2.3", "::ffff:10.1.2.3": "10.1.2.3", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64"} {
		if got := string(AppendAddress(nil, netip.MustParseAddr(address))); got != want {
			t.Error(address, got)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for _, c := range []config.Limit{{Rate: rate(b, "1000000/s")}, {Rate: rate(b, "1000000000/s"), Algorithm: "sliding_window"}} {
		l := newStore(b, 0).Limiter("x", c)
		keys := make([][]byte, 1024)
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "10.0.%d.%d", i>>8, i&255)
		}
		b.Run(c.Algorithm+"/one", func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				l.Take(keys[i&1023])
			}
		})
		b.Run(c.Algorithm+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					l.Take(keys[i&1023])
				}
			})
		})
	}
}
