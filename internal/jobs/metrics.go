package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the plane's figures. It is a prometheus.Collector.
type Metrics struct {
	jobs        *Jobs
	endedTotal  *prometheus.CounterVec
	retries     *prometheus.CounterVec
	waited, ran prometheus.Histogram
	indexErrors prometheus.Counter
	state, age  *prometheus.Desc
}

func newMetrics(j *Jobs) *Metrics {
	buckets := []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300, 1800}
	return &Metrics{
		jobs: j,
		endedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "headrace_jobs_ended_total",
			Help: "Jobs that ended, by queue and terminal state."}, []string{"queue", "state"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "headrace_jobs_retries_total",
			Help: "Attempts that failed and are followed by another, by queue."}, []string{"queue"}),
		waited: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "headrace_jobs_wait_seconds",
			Help: "Time from ready to running of the last attempt.", Buckets: buckets}),
		ran: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "headrace_jobs_run_seconds",
			Help: "Time from running to ended of the last attempt.", Buckets: buckets}),
		indexErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "headrace_jobs_index_errors_total",
			Help: "Failed writes of the job index."}),
		state: prometheus.NewDesc("headrace_jobs_live", "Jobs that have not ended, by queue and state.", []string{"queue", "state"}, nil),
		age:   prometheus.NewDesc("headrace_jobs_oldest_ready_seconds", "For how long the oldest job in line stands there, by queue; 0 if there is none.", []string{"queue"}, nil),
	}
}

func (m *Metrics) ended(b *job) {
	m.endedTotal.WithLabelValues(b.Queue, b.state.String()).Inc()
	if b.runs > 0 {
		m.waited.Observe(b.started.Sub(b.readyAt).Seconds())
		m.ran.Observe(b.finished.Sub(b.started).Seconds())
	}
}

func (m *Metrics) retried(b *job) { m.retries.WithLabelValues(b.Queue).Inc() }

func (m *Metrics) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.endedTotal, m.retries, m.waited, m.ran, m.indexErrors}
}

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, c := range m.collectors() {
		c.Describe(ch)
	}
	ch <- m.state
	ch <- m.age
}

// Collect implements prometheus.Collector.
func (m *Metrics) Collect(ch chan<- prometheus.Metric) {
	for _, c := range m.collectors() {
		c.Collect(ch)
	}
	for _, q := range m.jobs.Queues() {
		age := 0.0
		if !q.Oldest.IsZero() {
			age = time.Since(q.Oldest).Seconds()
		}
		ch <- prometheus.MustNewConstMetric(m.age, prometheus.GaugeValue, age, q.Name)
		for _, s := range []struct {
			state State
			n     int64
		}{{Waiting, q.Waiting}, {Scheduled, q.Scheduled}, {Ready, q.Ready}, {Running, q.Running}} {
			ch <- prometheus.MustNewConstMetric(m.state, prometheus.GaugeValue, float64(s.n), q.Name, s.state.String())
		}
	}
}
