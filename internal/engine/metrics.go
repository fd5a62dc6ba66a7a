package engine

import (
	"math"
	"sync/atomic"
	"time"
)

// bounds are the upper bounds of the latency buckets in seconds: 0.1 ms, doubled up to 1.6 s.
var bounds = [15]float64{.0001, .0002, .0004, .0008, .0016, .0032, .0064, .0128, .0256, .0512, .1024, .2048, .4096, .8192, 1.6384}

// counters are what the clock counts.
type counters struct {
	failures atomic.Uint64
	epochs   atomic.Uint64
	nanos    atomic.Int64
	buckets  [len(bounds) + 1]atomic.Uint64 // the last one holds what took longer than every bound
}

func (c *counters) commit(took time.Duration, err error) {
	bucket, seconds := 0, took.Seconds()
	for bucket < len(bounds) && seconds > bounds[bucket] {
		bucket++
	}
	c.buckets[bucket].Add(1)
	c.nanos.Add(int64(took))
	if err != nil {
		c.failures.Add(1)
	}
}

// Metrics is one reading of the engine's counters. Commits, CommitSeconds and Buckets are the three arguments of a
// Prometheus constant histogram.
type Metrics struct {
	Commits        uint64             // commits that callers waited for, since the start
	CommitFailures uint64             // of these, those that ended with an error
	Epochs         uint64             // groups that one sync released
	CommitSeconds  float64            // sum of the time from call to return
	Buckets        map[float64]uint64 // commits by upper bound in seconds, cumulative
	StreamsBytes   uint64             // in the streams of the embedded server; 0 with an external one
	DiskFree       int64              // bytes, as the guard saw them last
}

// Metrics reads the counters.
func (e *Engine) Metrics() Metrics {
	m := Metrics{
		CommitFailures: e.counters.failures.Load(),
		Epochs:         e.counters.epochs.Load(),
		CommitSeconds:  float64(e.counters.nanos.Load()) / math.Pow10(9),
		Buckets:        make(map[float64]uint64, len(bounds)),
		StreamsBytes:   e.streamsBytes(),
		DiskFree:       e.guard.free.Load(),
	}
	for i := range e.counters.buckets {
		m.Commits += e.counters.buckets[i].Load()
		if i < len(bounds) {
			m.Buckets[bounds[i]] = m.Commits
		}
	}
	return m
}
