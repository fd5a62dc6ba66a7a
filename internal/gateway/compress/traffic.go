package compress

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Traffic are the figures of compression.
type Traffic struct {
	before, after, passed prometheus.Counter
	reused                prometheus.Counter
	memory                prometheus.GaugeFunc
	answers               *prometheus.CounterVec
	by                    [encodings]prometheus.Counter
	refused               prometheus.Counter
}

func newTraffic(held *atomic.Int64) *Traffic {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Namespace: "headrace", Subsystem: "gateway", Name: name, Help: help})
	}
	t := &Traffic{
		before:  counter("compress_before_bytes_total", "Bytes of answers before they were compressed."),
		after:   counter("compress_after_bytes_total", "Bytes of answers after they were compressed."),
		passed:  counter("compress_passed_total", "Answers that were not compressed because encoders held compress.memory."),
		reused:  counter("compress_reused_total", "Compressed answers whose compressed form the cache had kept."),
		refused: counter("decompress_refused_total", "Encoded requests that were refused: broken, too large, or beyond compress.memory."),
		answers: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "headrace_gateway_compressed_answers_total", Help: "Answers that were compressed."}, []string{"encoding"}),
		memory: prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "headrace_gateway_compress_memory_bytes", Help: "Memory of encoders and decoders in use."},
			func() float64 { return float64(held.Load()) }),
	}
	for e := zstandard; e < encodings; e++ {
		t.by[e] = t.answers.WithLabelValues(names[e])
	}
	return t
}

// Describe implements prometheus.Collector.
func (t *Traffic) Describe(c chan<- *prometheus.Desc) { prometheus.DescribeByCollect(t, c) }

// Collect implements prometheus.Collector.
func (t *Traffic) Collect(c chan<- prometheus.Metric) {
	for _, m := range []prometheus.Collector{t.before, t.after, t.passed, t.reused, t.refused, t.memory, t.answers} {
		m.Collect(c)
	}
}
