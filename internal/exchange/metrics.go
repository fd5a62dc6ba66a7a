package exchange

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/valyala/fasthttp"
)

// Metrics are the figures of a door. It is a prometheus.Collector.
type Metrics struct {
	requests    [600]atomic.Uint64 // by status
	open        atomic.Int64
	seconds     prometheus.Histogram
	total, live *prometheus.Desc
}

func newMetrics(plane string) *Metrics {
	prefix := "headrace_" + plane
	return &Metrics{
		total: prometheus.NewDesc(prefix+"_requests_total", "Requests that were answered, by status.", []string{"status"}, nil),
		live:  prometheus.NewDesc(prefix+"_connections_open", "Connections that are open.", nil, nil),
		seconds: prometheus.NewHistogram(prometheus.HistogramOpts{Name: prefix + "_request_seconds",
			Help:    "Time from the head of a request to its answer; answers that stream count until they begin.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}}),
	}
}

func (m *Metrics) observe(ctx *fasthttp.RequestCtx) {
	if status := ctx.Response.StatusCode(); status >= 0 && status < len(m.requests) {
		m.requests[status].Add(1)
	}
	if at := ctx.Time(); !at.IsZero() {
		m.seconds.Observe(time.Since(at).Seconds())
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.total
	ch <- m.live
	m.seconds.Describe(ch)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for status := range m.requests {
		if n := m.requests[status].Load(); n > 0 {
			ch <- prometheus.MustNewConstMetric(m.total, prometheus.CounterValue, float64(n), strconv.Itoa(status))
		}
	}
	ch <- prometheus.MustNewConstMetric(m.live, prometheus.GaugeValue, float64(m.open.Load()))
	m.seconds.Collect(ch)
}
