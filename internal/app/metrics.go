package app

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/engine"
)

// engineMetrics reads the engine's counters when it is collected.
type engineMetrics struct{ *engine.Engine }

var (
	commitsDesc = prometheus.NewDesc("headrace_engine_commit_seconds", "Time of a commit as its caller waited for it.", nil, nil)
	failedDesc  = prometheus.NewDesc("headrace_engine_commit_failures_total", "Commits that ended with an error.", nil, nil)
	epochsDesc  = prometheus.NewDesc("headrace_engine_epochs_total", "Groups of commits that one sync released.", nil, nil)
	bytesDesc   = prometheus.NewDesc("headrace_engine_streams_bytes", "Bytes in the streams of the embedded engine.", nil, nil)
	freeDesc    = prometheus.NewDesc("headrace_engine_disk_free_bytes", "Free bytes on the disk of the data folder.", nil, nil)
)

// Describe implements prometheus.Collector.
func (m engineMetrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{commitsDesc, failedDesc, epochsDesc, bytesDesc, freeDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m engineMetrics) Collect(ch chan<- prometheus.Metric) {
	now := m.Metrics()
	ch <- prometheus.MustNewConstHistogram(commitsDesc, now.Commits, now.CommitSeconds, now.Buckets)
	ch <- prometheus.MustNewConstMetric(failedDesc, prometheus.CounterValue, float64(now.CommitFailures))
	ch <- prometheus.MustNewConstMetric(epochsDesc, prometheus.CounterValue, float64(now.Epochs))
	ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(now.StreamsBytes))
	ch <- prometheus.MustNewConstMetric(freeDesc, prometheus.GaugeValue, float64(now.DiskFree))
}
