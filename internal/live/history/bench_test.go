package history

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/engine"
)

var payload = strings.Repeat("x", 128)

func report(b *testing.B, took []time.Duration, elapsed time.Duration) {
	slices.Sort(took)
	b.ReportMetric(float64(len(took))/elapsed.Seconds(), "publications/s")
	b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
}

// processor is the processor time of this process so far.
func processor(b *testing.B) time.Duration {
	var use syscall.Rusage
	must(b, syscall.Getrusage(syscall.RUSAGE_SELF, &use))
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkSteady publishes 1,000 times a second, whether or not the ones before are acknowledged: run it with -benchtime 5000x.
func BenchmarkSteady(b *testing.B) {
	for _, channels := range []int{1, 100} {
		b.Run(fmt.Sprintf("channels=%d", channels), func(b *testing.B) {
			r := open(b, openEngine(b, engine.Config{}), Options{Size: 1000, Age: time.Hour})
			took := make([]time.Duration, b.N)
			var all sync.WaitGroup
			tick := time.NewTicker(time.Millisecond)
			defer tick.Stop()
			began, before := time.Now(), processor(b)
			b.ResetTimer()
			for i := range b.N {
				<-tick.C
				all.Go(func() {
					began := time.Now()
					if _, _, err := r.log.Publish(b.Context(), Publish{Channel: fmt.Sprintf("c:%d", i%channels), Publication: text(payload)}); err != nil {
						b.Error(err)
					}
					took[i] = time.Since(began)
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(b.N), "µs-cpu/publication")
			report(b, took, time.Since(began))
		})
	}
}

// BenchmarkSaturated has publishers that each wait for an acknowledgement before the next publication.
func BenchmarkSaturated(b *testing.B) {
	for _, load := range []struct{ publishers, channels int }{{1, 1}, {64, 1}, {64, 64}, {1024, 1}, {1024, 1024}} {
		b.Run(fmt.Sprintf("publishers=%d/channels=%d", load.publishers, load.channels), func(b *testing.B) {
			r := open(b, openEngine(b, engine.Config{}), Options{Size: 1000, Age: time.Hour})
			for c := range load.channels {
				r.publish(fmt.Sprintf("c:%d", c), payload)
			}
			took := make([]time.Duration, b.N)
			var next atomic.Int64
			var all sync.WaitGroup
			b.ResetTimer()
			began, before := time.Now(), processor(b)
			for p := range load.publishers {
				name := fmt.Sprintf("c:%d", p%load.channels)
				all.Go(func() {
					for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
						began := time.Now()
						if _, _, err := r.log.Publish(b.Context(), Publish{Channel: name, Publication: text(payload)}); err != nil {
							b.Error(err)
							return
						}
						took[i] = time.Since(began)
					}
				})
			}
			all.Wait()
			b.StopTimer()
			b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(b.N), "µs-cpu/publication")
			report(b, took, time.Since(began))
		})
	}
}

// BenchmarkRecover is one client that recovers 10 publications of a channel with 1,000.
func BenchmarkRecover(b *testing.B) {
	for _, from := range []string{"ring", "stream"} {
		b.Run(from, func(b *testing.B) {
			o := Options{Size: 1000, Age: time.Hour}
			since := uint64(990)
			if from == "stream" {
				o.Ring, since = 100, 500
			}
			r := open(b, openEngine(b, engine.Config{}), o)
			at := fillChannel(b, r, "c", 1000)
			b.ReportAllocs()
			before := processor(b)
			b.ResetTimer()
			for range b.N {
				found, _, err := r.log.Read(b.Context(), "c", Filter{Since: &Position{since, at.Epoch}, Limit: 10})
				if len(found) != 10 {
					b.Fatal(len(found), err)
				}
			}
			b.StopTimer()
			b.ReportMetric(float64((processor(b)-before).Microseconds())/float64(b.N), "µs-cpu/read")
		})
	}
}

// BenchmarkRecoverStorm is 15,000 clients of one channel that recover at once, after a restart of the node: nothing is in memory.
func BenchmarkRecoverStorm(b *testing.B) {
	const clients = 15_000
	data := b.TempDir()
	e := openEngine(b, engine.Config{Data: data})
	r := open(b, e, Options{Size: 500, Age: time.Hour})
	at := fillChannel(b, r, "c", 500)
	b.ResetTimer()
	for range b.N {
		r.log.evictIdle(time.Now().Add(time.Hour))
		took := make([]time.Duration, clients)
		var all sync.WaitGroup
		began, before := time.Now(), processor(b)
		for i := range clients {
			all.Go(func() {
				found, _, err := r.log.Read(b.Context(), "c", Filter{Since: &Position{490, at.Epoch}, Limit: All})
				if len(found) != 10 {
					b.Error(len(found), err)
				}
				took[i] = time.Since(began)
			})
		}
		all.Wait()
		slices.Sort(took)
		b.ReportMetric(float64((processor(b)-before).Microseconds())/clients, "µs-cpu/client")
		b.ReportMetric(float64(took[clients*99/100].Microseconds()), "p99-µs")
	}
}

func fillChannel(b *testing.B, r *rig, name string, n int) Position {
	var all sync.WaitGroup
	for range n {
		all.Go(func() { r.publish(name, payload) })
	}
	all.Wait()
	return r.top(name)
}
