package live

import (
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/live/fanout"
)

// metrics are the figures of the plane, a prometheus.Collector.
type metrics struct {
	live *Live

	publications, deliveries, unstored atomic.Uint64
	commands                           [verbs]atomic.Uint64
	recoveries, unrecovered            atomic.Uint64
	recoveredPublications              atomic.Uint64
	handshakesRefused                  atomic.Uint64
	gaps                               atomic.Uint64 // subscriptions that had missed something
	queued                             atomic.Int64
	slow                               atomic.Uint64 // connections that were ended or lost something because they are slow

	delays   [len(delayBounds) + 1]atomic.Uint64
	delaySum atomic.Int64 // nanoseconds

	mu          sync.Mutex
	disconnects map[uint32]uint64
	errors      map[uint32]uint64
	drops       map[string]uint64
}

// delayBounds are those of the histogram of the time from a publication to its delivery.
var delayBounds = [...]time.Duration{100 * time.Microsecond, 250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond,
	5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second}

func newMetrics(l *Live) *metrics {
	return &metrics{live: l, disconnects: map[uint32]uint64{}, errors: map[uint32]uint64{},
		drops: map[string]uint64{"disconnect": 0, "drop_oldest": 0, "latest_per_key": 0, "resync": 0}}
}

// delivered counts a turn of the fan-out.
func (m *metrics) delivered(items []*fanout.Item, taken int) {
	if taken == 0 {
		return
	}
	m.deliveries.Add(uint64(taken))
	now := time.Now()
	each := uint64(max(1, taken/len(items)))
	for _, i := range items {
		d := now.Sub(i.At)
		b := 0
		for b < len(delayBounds) && d > delayBounds[b] {
			b++
		}
		m.delays[b].Add(each)
		m.delaySum.Add(int64(d) * int64(each))
	}
}

func (m *metrics) disconnected(code uint32) {
	if code == DisconnectSlow.Code {
		m.slow.Add(1)
	}
	m.mu.Lock()
	m.disconnects[code]++
	m.mu.Unlock()
}

func (m *metrics) failed(code uint32) {
	m.mu.Lock()
	m.errors[code]++
	m.mu.Unlock()
}

func (m *metrics) dropped(reason string, n int) {
	if n == 0 {
		return
	}
	m.slow.Add(1)
	m.mu.Lock()
	m.drops[reason] += uint64(n)
	m.mu.Unlock()
}

func (m *metrics) recovered(ok bool, publications int) {
	if !ok {
		m.unrecovered.Add(1)
		return
	}
	m.recoveries.Add(1)
	m.recoveredPublications.Add(uint64(publications))
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("headrace_live_"+name, help, labels, nil)
}

var (
	connectionsDesc   = desc("connections", "Connections that are open, by transport.", "transport")
	subscriptionsDesc = desc("subscriptions", "Subscriptions of connections.")
	channelsDesc      = desc("channels", "Channels that have subscribers.")
	publicationsDesc  = desc("publications_total", "Publications that were handed in.")
	unstoredDesc      = desc("publications_unstored_total", "Publications that the history did not take.")
	deliveriesDesc    = desc("deliveries_total", "Messages of channels that connections were given.")
	queuedDesc        = desc("queued_bytes", "Bytes that wait for slow connections.")
	dropsDesc         = desc("drops_total", "Messages that slow connections did not get, by policy.", "policy")
	disconnectsDesc   = desc("disconnects_total", "Connections that the server ended, by code.", "code")
	commandsDesc      = desc("commands_total", "Commands of clients, by kind.", "command")
	errorsDesc        = desc("errors_total", "Commands that failed, by code.", "code")
	recoveriesDesc    = desc("recoveries_total", "Subscriptions that came back, by whether the history had all they missed.", "recovered")
	recoveredDesc     = desc("recovered_publications_total", "Publications that subscriptions got when they came back.")
	gapsDesc          = desc("position_gaps_total", "Subscriptions that the position check found to have missed something; they recover.")
	handshakesDesc    = desc("handshakes_refused_total", "Handshakes that a limit refused.")
	delayDesc         = desc("delivery_delay_seconds", "Time from a publication to its delivery to a part of the subscribers.")
)

// Describe makes Live a prometheus.Collector.
func (l *Live) Describe(out chan<- *prometheus.Desc) { prometheus.DescribeByCollect(l, out) }

// Collect reads the figures.
func (l *Live) Collect(out chan<- prometheus.Metric) {
	m := l.metrics
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	counter := func(d *prometheus.Desc, v uint64, labels ...string) {
		out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	for t, n := range l.registry.transports() {
		gauge(connectionsDesc, float64(n), transport(t).String())
	}
	channels, subscriptions := l.hub.Len()
	gauge(channelsDesc, float64(channels))
	gauge(subscriptionsDesc, float64(subscriptions))
	gauge(queuedDesc, float64(m.queued.Load()))
	counter(publicationsDesc, m.publications.Load())
	counter(unstoredDesc, m.unstored.Load())
	counter(deliveriesDesc, m.deliveries.Load())
	counter(recoveriesDesc, m.recoveries.Load(), "true")
	counter(recoveriesDesc, m.unrecovered.Load(), "false")
	counter(recoveredDesc, m.recoveredPublications.Load())
	counter(gapsDesc, m.gaps.Load())
	counter(handshakesDesc, m.handshakesRefused.Load())
	for v := range m.commands {
		counter(commandsDesc, m.commands[v].Load(), verbNames[v])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for code, n := range m.disconnects {
		counter(disconnectsDesc, n, strconv.Itoa(int(code)))
	}
	for code, n := range m.errors {
		counter(errorsDesc, n, strconv.Itoa(int(code)))
	}
	for policy, n := range m.drops {
		counter(dropsDesc, n, policy)
	}
	buckets, count := map[float64]uint64{}, uint64(0)
	for i := range m.delays {
		count += m.delays[i].Load()
		if i < len(delayBounds) {
			buckets[delayBounds[i].Seconds()] = count
		}
	}
	out <- prometheus.MustNewConstHistogram(delayDesc, count, time.Duration(m.delaySum.Load()).Seconds(), buckets)
}
