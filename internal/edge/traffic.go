package edge

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/observe"
)

// traffic are the figures of a route. They last as long as some route has its title.
type traffic struct {
	classes [6]atomic.Uint64 // answers by the first digit of their status
	seconds prometheus.Histogram
}

var (
	routeRequests = prometheus.NewDesc("headrace_edge_route_requests_total", "Requests that were answered, by route and class of status.", []string{"route", "class"}, nil)
	routeSeconds  = prometheus.HistogramOpts{Name: "headrace_edge_route_seconds",
		Help:    "Time from the head of a request to its answer, by route; answers that stream count until they begin.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10, 60}}
)

func newTraffic(title string) *traffic {
	o := routeSeconds
	o.ConstLabels = prometheus.Labels{"route": title}
	return &traffic{seconds: prometheus.NewHistogram(o)}
}

func (t *traffic) observe(r *exchange.Request) {
	t.classes[min(r.Response.StatusCode()/100, 5)].Add(1)
	took := time.Since(r.Time()).Seconds()
	if header := r.Request.Header.Peek("Traceparent"); len(header) > 0 {
		if trace, ok := observe.ParseTraceparent(string(header)); ok && trace.IsSampled() {
			t.seconds.(prometheus.ExemplarObserver).ObserveWithExemplar(took, prometheus.Labels{"trace_id": trace.TraceID().String()})
			return
		}
	}
	t.seconds.Observe(took)
}

// routesTraffic collects the figures of all routes.
type routesTraffic struct{ *Server }

// Describe implements prometheus.Collector.
func (c routesTraffic) Describe(ch chan<- *prometheus.Desc) {
	ch <- routeRequests
	c.unmatched.seconds.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c routesTraffic) Collect(ch chan<- prometheus.Metric) {
	c.building.Lock()
	defer c.building.Unlock()
	collect(ch, "none", c.unmatched)
	for title, t := range c.traffics {
		collect(ch, title, t)
	}
}

func collect(ch chan<- prometheus.Metric, title string, t *traffic) {
	for class := range t.classes {
		if n := t.classes[class].Load(); n > 0 {
			ch <- prometheus.MustNewConstMetric(routeRequests, prometheus.CounterValue, float64(n), title, string(rune('0'+class))+"xx")
		}
	}
	t.seconds.Collect(ch)
}
