package workers

import (
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// tally is a Sink that only counts ends.
type tally struct {
	ended *atomic.Int64
	bad   *atomic.Int64
}

func (tally) Started(string, int)              {}
func (tally) Progress([]byte)                  {}
func (tally) Chunk([]byte)                     {}
func (tally) Log([]byte)                       {}
func (tally) Checkpoint([]byte)                {}
func (tally) Request(_ []byte, _ func([]byte)) {}
func (s tally) Done(o Outcome) {
	if o.Ending != Succeeded {
		s.bad.Add(1)
	}
	s.ended.Add(1)
}

// BenchmarkNoop runs jobs that do nothing through one worker, as a dispatcher would.
func BenchmarkNoop(b *testing.B) { benchmarkNoop(b, 1) }

// BenchmarkNoopTwoWorkers is the same with two.
func BenchmarkNoopTwoWorkers(b *testing.B) { benchmarkNoop(b, 2) }

func benchmarkNoop(b *testing.B, workers int) {
	p, _ := open(b, Config{Zygote: true, Min: workers})
	var ended, bad atomic.Int64
	free := make(chan struct{}, 1)
	p.OnFree(func() {
		select {
		case free <- struct{}{}:
		default:
		}
	})
	task := &Task{Function: "noop", Args: []byte(`{}`), Meta: []byte(`{"id":"01JD8Q6Z7TN1V6B3ZK4T5W8XYZ","attempt":1}`), Sink: tally{&ended, &bad}}
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; {
		if _, ok := p.Offer(task); ok {
			i++
			continue
		}
		p.Flush()
		<-free
	}
	p.Flush()
	for ended.Load() < int64(b.N) {
		<-free
	}
	if bad.Load() > 0 {
		b.Fatalf("%d tasks did not succeed", bad.Load())
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
}

// BenchmarkRoundTrip is one call after another.
func BenchmarkRoundTrip(b *testing.B) {
	p, _ := open(b, Config{Zygote: true})
	b.ReportAllocs()
	for b.Loop() {
		r := newRecord(b)
		if _, err := p.Call(&Task{Function: "whoami", Args: []byte(`{}`), Sink: r}, time.Minute); err != nil {
			b.Fatal(err)
		}
		<-r.done
	}
}

// BenchmarkReplacement kills the only worker and waits until another one has answered.
func BenchmarkReplacement(b *testing.B) {
	for _, c := range []struct {
		name   string
		zygote bool
	}{{"zygote", true}, {"spawn", false}} {
		b.Run(c.name, func(b *testing.B) {
			p, _ := open(b, Config{Zygote: c.zygote})
			pid := 0
			for b.Loop() {
				r := newRecord(b)
				if _, err := p.Call(&Task{Function: "whoami", Args: []byte(`{}`), Sink: r}, time.Minute); err != nil {
					b.Fatal(err)
				}
				o := r.end()
				if o.Ending != Succeeded || r.pid == pid {
					b.Fatalf("%+v", o)
				}
				pid = r.pid
				dead := make(chan struct{})
				p.mu.Lock()
				for _, w := range p.workers {
					if w.pid == pid {
						dead = w.gone
					}
				}
				p.mu.Unlock()
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					b.Fatal(err)
				}
				<-dead
			}
		})
	}
}

// BenchmarkDeath measures from the SIGKILL of a worker to the Done of its task.
func BenchmarkDeath(b *testing.B) {
	for _, c := range []struct {
		name   string
		zygote bool
	}{{"zygote", true}, {"spawn", false}} {
		b.Run(c.name, func(b *testing.B) {
			p, _ := open(b, Config{Zygote: c.zygote})
			for b.Loop() {
				b.StopTimer()
				r, _ := runTask(b, p, &Task{Function: "nap", Args: []byte(`{"seconds":600}`)})
				r.wait(r.progressed, "progress")
				b.StartTimer()
				if err := syscall.Kill(r.pid, syscall.SIGKILL); err != nil {
					b.Fatal(err)
				}
				if o := r.end(); o.Ending != Crashed {
					b.Fatalf("%+v", o)
				}
			}
		})
	}
}
