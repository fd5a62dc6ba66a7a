package openapi

import "github.com/prometheus/client_golang/prometheus"

// Metrics count what does not fit. It is a prometheus.Collector.
type Metrics struct{ misfits *prometheus.CounterVec }

// NewMetrics counts from 0.
func NewMetrics() *Metrics {
	return &Metrics{prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "headrace_gateway_openapi_misfits_total", Help: "Requests and answers that do not fit the OpenAPI document of their route.",
	}, []string{"route", "side"})}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(c chan<- *prometheus.Desc) { m.misfits.Describe(c) }

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(c chan<- prometheus.Metric) { m.misfits.Collect(c) }

// misfits are the counters of one route.
type misfits struct{ requests, answers prometheus.Counter }

func (m *Metrics) of(route string) misfits {
	return misfits{m.misfits.WithLabelValues(route, "request"), m.misfits.WithLabelValues(route, "answer")}
}
