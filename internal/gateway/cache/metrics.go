package cache

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// outcomes count the requests of a route.
type outcomes [outcomeCount]atomic.Uint64

type outcome int

const (
	hit         outcome = iota // given as it is kept
	stale                      // given although it was not fresh
	revalidated                // given after the upstream said that it has not changed
	collapsed                  // given after another request had fetched it
	miss                       // the upstream gave it
	bypass                     // the cache had nothing to do with it
	outcomeCount
)

var outcomeNames = [outcomeCount]string{"hit", "stale", "revalidated", "collapsed", "miss", "bypass"}

// Counts are requests of a route, by what became of them.
type Counts struct {
	Hit         uint64 `json:"hit"`
	Stale       uint64 `json:"stale"`
	Revalidated uint64 `json:"revalidated"`
	Collapsed   uint64 `json:"collapsed"`
	Miss        uint64 `json:"miss"`
	Bypass      uint64 `json:"bypass"`
}

func (o *outcomes) counts() Counts {
	return Counts{o[hit].Load(), o[stale].Load(), o[revalidated].Load(), o[collapsed].Load(), o[miss].Load(), o[bypass].Load()}
}

func (s *Store) of(route string) *outcomes {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.outcomes[route] == nil {
		s.outcomes[route] = new(outcomes)
	}
	return s.outcomes[route]
}

var (
	requestsDesc = prometheus.NewDesc("headrace_gateway_cache_requests_total", "Requests of routes with a cache.", []string{"route", "outcome"}, nil)
	entriesDesc  = prometheus.NewDesc("headrace_gateway_cache_entries", "Answers that are kept.", nil, nil)
	bytesDesc    = prometheus.NewDesc("headrace_gateway_cache_bytes", "Memory of the answers that are kept; gateway.cache_memory bounds it.", nil, nil)
	fillingDesc  = prometheus.NewDesc("headrace_gateway_cache_filling_bytes", "Memory of answers that are being read to be kept.", nil, nil)
	evictedDesc  = prometheus.NewDesc("headrace_gateway_cache_evicted_total", "Answers that had to make room.", nil, nil)
	purgedDesc   = prometheus.NewDesc("headrace_gateway_cache_purged_total", "Answers that were purged.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *Store) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, entriesDesc, bytesDesc, fillingDesc, evictedDesc, purgedDesc} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (s *Store) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	for route, o := range s.outcomes {
		for i := range o {
			ch <- prometheus.MustNewConstMetric(requestsDesc, prometheus.CounterValue, float64(o[i].Load()), route, outcomeNames[i])
		}
	}
	s.mu.Unlock()
	ch <- prometheus.MustNewConstMetric(entriesDesc, prometheus.GaugeValue, float64(s.kept.EstimatedSize()))
	ch <- prometheus.MustNewConstMetric(bytesDesc, prometheus.GaugeValue, float64(s.kept.WeightedSize()))
	ch <- prometheus.MustNewConstMetric(fillingDesc, prometheus.GaugeValue, float64(s.filling.Load()))
	ch <- prometheus.MustNewConstMetric(evictedDesc, prometheus.CounterValue, float64(s.evicted.Load()))
	ch <- prometheus.MustNewConstMetric(purgedDesc, prometheus.CounterValue, float64(s.purged.Load()))
}
