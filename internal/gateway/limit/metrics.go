package limit

import "github.com/prometheus/client_golang/prometheus"

var (
	requestsDesc  = prometheus.NewDesc("headrace_gateway_limit_requests_total", "Requests that a limit counted, by its name or that of its route.", []string{"limit", "outcome"}, nil)
	keysDesc      = prometheus.NewDesc("headrace_gateway_limit_keys", "Keys that are counted.", nil, nil)
	forgottenDesc = prometheus.NewDesc("headrace_gateway_limit_keys_forgotten_total", "Keys that were forgotten too early because there were more than gateway.limit_keys.", nil, nil)
	leasesDesc    = prometheus.NewDesc("headrace_gateway_limit_leases_total", "Leases of shared limits that were taken from the engine, and those that failed or came late so that the node counted alone.", []string{"outcome"}, nil)
)

// Describe implements prometheus.Collector.
func (s *Store) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, keysDesc, forgottenDesc, leasesDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Store) Collect(ch chan<- prometheus.Metric) {
	s.mu.RLock()
	for name, sc := range s.scopes {
		ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(sc.passed.Load()), name, "passed")
		ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(sc.refused.Load()), name, "refused")
	}
	s.mu.RUnlock()
	ch <- prometheus.MustNewConstMetric(keysDesc, prometheus.GaugeValue, float64(s.keys()))
	ch <- prometheus.MustNewConstMetric(forgottenDesc, prometheus.CounterValue, float64(s.forgotten.Load()))
	for outcome, n := range map[string]uint64{"taken": s.pool.leases.Load(), "conflict": s.pool.conflicts.Load(), "failed": s.pool.failures.Load(), "late": s.pool.late.Load()} {
		ch <- prometheus.MustNewConstMetric(leasesDesc, prometheus.CounterValue, float64(n), outcome)
	}
}

func (s *Store) keys() (n int) {
	for i := range s.shards {
		s.shards[i].mu.Lock()
		n += len(s.shards[i].ring)
		s.shards[i].mu.Unlock()
	}
	return n
}
