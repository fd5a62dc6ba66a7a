package merge

import "github.com/prometheus/client_golang/prometheus"

// Metrics count parts. It is a prometheus.Collector.
type Metrics struct{ parts *prometheus.CounterVec }

// NewMetrics counts from 0.
func NewMetrics() *Metrics {
	return &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "headrace_gateway_merge_parts_total", Help: "Parts of merged answers by outcome: good, failed or late.",
	}, []string{"route", "part", "outcome"})}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) { m.parts.Describe(c) }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) { m.parts.Collect(c) }

// outcomes are the counters of one part.
type outcomes struct{ good, failed, late prometheus.Counter }

func (m *Metrics) of(route, part string) outcomes {
	return outcomes{m.parts.WithLabelValues(route, part, "good"), m.parts.WithLabelValues(route, part, "failed"), m.parts.WithLabelValues(route, part, "late")}
}
