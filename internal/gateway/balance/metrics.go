package balance

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	requestsDesc = prometheus.NewDesc("headrace_gateway_upstream_requests_total", "Requests that have ended, by target and class of status; none is without answer.",
		[]string{"upstream", "target", "class"}, nil)
	failuresDesc = prometheus.NewDesc("headrace_gateway_upstream_failures_total", "Requests without whole answer, or with status 502, 503 or 504.",
		[]string{"upstream", "target"}, nil)
	busyDesc     = prometheus.NewDesc("headrace_gateway_upstream_busy", "Requests under way.", []string{"upstream", "target"}, nil)
	upDesc       = prometheus.NewDesc("headrace_gateway_upstream_target_up", "1 for a target that takes requests, 0 for one that is left out.", []string{"upstream", "target"}, nil)
	openDesc     = prometheus.NewDesc("headrace_gateway_upstream_connections_open", "Connections to a target.", []string{"upstream", "target"}, nil)
	idleDesc     = prometheus.NewDesc("headrace_gateway_upstream_connections_idle", "Those that wait for a request.", []string{"upstream", "target"}, nil)
	secondsDesc  = prometheus.NewDesc("headrace_gateway_upstream_seconds", "Time of requests, with the whole answer.", []string{"upstream"}, nil)
	retriesDesc  = prometheus.NewDesc("headrace_gateway_upstream_retries_total", "Repetitions of requests.", []string{"upstream"}, nil)
	refusedDesc  = prometheus.NewDesc("headrace_gateway_upstream_retries_refused_total", "Repetitions that the budget did not allow.", []string{"upstream"}, nil)
	breakerDesc  = prometheus.NewDesc("headrace_gateway_upstream_breaker_state", "0 closed, 1 open, 2 half open.", []string{"upstream"}, nil)
	openingsDesc = prometheus.NewDesc("headrace_gateway_upstream_breaker_openings_total", "Times that the breaker opened.", []string{"upstream"}, nil)
	restartsDesc = prometheus.NewDesc("headrace_gateway_upstream_restarts_total", "Processes of run that were started again, by target and reason: ended (or not ready in time), unhealthy.",
		[]string{"upstream", "target", "reason"}, nil)
)

// Describe implements prometheus.Collector.
func (s *Set) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, failuresDesc, busyDesc, upDesc, openDesc, idleDesc, secondsDesc, retriesDesc, refusedDesc, breakerDesc, openingsDesc, restartsDesc} {
		out <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Set) Collect(out chan<- prometheus.Metric) {
	for _, u := range s.all() {
		u.collect(out)
	}
}

func (u *Upstream) collect(out chan<- prometheus.Metric) {
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), append([]string{u.name}, labels...)...)
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, append([]string{u.name}, labels...)...)
	}
	sum := u.record.totals()
	buckets, n := map[float64]uint64{}, uint64(0)
	for i, bound := range bounds {
		n += sum.times[i]
		buckets[bound.Seconds()] = n
	}
	out <- prometheus.MustNewConstHistogram(secondsDesc, n+sum.times[len(bounds)], sum.sum.Seconds(), buckets, u.name)
	counter(retriesDesc, u.record.retries.Load())
	counter(refusedDesc, u.record.refused.Load())
	counter(openingsDesc, u.record.opened.Load())
	gauge(breakerDesc, float64(u.breaker.state.Load()))
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.processes != nil && u.processes.service != nil {
		for _, p := range u.processes.service.Status() {
			name := fmt.Sprintf("%s/%d", u.name, p.Number)
			counter(restartsDesc, uint64(p.Restarts-p.Unhealthy), name, "ended")
			counter(restartsDesc, uint64(p.Unhealthy), name, "unhealthy")
		}
	}
	for _, t := range u.targets {
		var one totals
		one.add(t.load)
		for i, class := range classes {
			if one.requests[i] > 0 {
				counter(requestsDesc, one.requests[i], t.name, class)
			}
		}
		counter(failuresDesc, one.failures, t.name)
		gauge(busyDesc, float64(t.Busy()), t.name)
		up := 1.0
		if t.bad || t.ejected {
			up = 0
		}
		gauge(upDesc, up, t.name)
		open, idle := t.connections()
		gauge(openDesc, float64(open), t.name)
		gauge(idleDesc, float64(idle), t.name)
	}
}
