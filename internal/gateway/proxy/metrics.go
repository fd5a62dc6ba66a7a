package proxy

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the figures of all proxies. It is a prometheus.Collector and outlives reloads.
type Metrics struct {
	mirrored *prometheus.CounterVec
	tunnels  *prometheus.GaugeVec
	open     atomic.Int64 // tunnels of all upstreams
}

// Tunnels is the number of upgraded connections that are open.
func (m *Metrics) Tunnels() int64 { return m.open.Load() }

// NewMetrics returns figures that are all 0.
func NewMetrics() *Metrics {
	return &Metrics{
		mirrored: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "headrace_gateway_mirrored_total",
			Help: "Requests that were copied to an upstream, by result: ok, failed, or dropped because too many copies were under way or the body was too large."}, []string{"upstream", "result"}),
		tunnels: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "headrace_gateway_tunnels", Help: "Upgraded connections, such as WebSockets, that are open."}, []string{"upstream"}),
	}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(to chan<- *prometheus.Desc) {
	m.mirrored.Describe(to)
	m.tunnels.Describe(to)
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(to chan<- prometheus.Metric) {
	m.mirrored.Collect(to)
	m.tunnels.Collect(to)
}
