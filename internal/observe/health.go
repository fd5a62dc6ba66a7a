package observe

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Severity tells what a condition does to readiness.
type Severity string

const (
	Warning  Severity = "warning"  // the node serves, but somebody should look
	Critical Severity = "critical" // the node is not ready: /readyz answers 503
)

// Condition is a state that is not as it should be. Planes declare theirs as variables; a condition is identified by its code.
type Condition struct {
	Code      string     // kebab-case, as in disk-nearly-full; the name of its runbook in the docs
	Severity  Severity   // what it does to readiness
	Title     string     // what it is, without details
	DependsOn *Condition // its cause: while that is raised, this one is not shown; nil for none
	Passing   bool       // it belongs to each start, and is logged as information
}

// Active is a condition that is raised.
type Active struct {
	Code     string    `json:"code"`
	Severity Severity  `json:"severity"`
	Title    string    `json:"title"`
	Subject  string    `json:"subject,omitempty"` // the pool, queue or node it is about
	Text     string    `json:"text"`
	Since    time.Time `json:"since"`

	condition *Condition
}

// Report is the body of /readyz.
type Report struct {
	Ready      bool     `json:"ready"`      // no critical condition is raised
	Conditions []Active `json:"conditions"` // critical ones first, then by code and subject
}

// Health holds the conditions that are raised. Its methods may be called from any goroutine.
type Health struct {
	log    *slog.Logger
	mu     sync.Mutex
	active map[subject]Active
}

type subject struct{ code, name string }

// NewHealth returns a Health without conditions, which logs each change.
func NewHealth(log *slog.Logger) *Health {
	return &Health{log: log, active: map[subject]Active{}}
}

// Raise sets a condition on a subject, "" for the node itself. Raising it again changes the text only.
func (h *Health) Raise(c *Condition, name, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	h.mu.Lock()
	old, again := h.active[subject{c.Code, name}]
	since := old.Since
	if !again {
		since = time.Now()
	}
	h.active[subject{c.Code, name}] = Active{
		Code: c.Code, Severity: c.Severity, Title: c.Title, Subject: name, Text: text, Since: since, condition: c,
	}
	h.mu.Unlock()
	if !again {
		level := slog.LevelWarn
		switch {
		case c.Passing:
			level = slog.LevelInfo
		case c.Severity == Critical:
			level = slog.LevelError
		}
		h.log.Log(context.Background(), level, c.Title, "condition", c.Code, "subject", name, "text", text)
	}
}

// Clear ends a condition; it does nothing where it is not raised.
func (h *Health) Clear(c *Condition, name string) {
	h.mu.Lock()
	was, ok := h.active[subject{c.Code, name}]
	delete(h.active, subject{c.Code, name})
	h.mu.Unlock()
	if ok {
		h.log.Info("over: "+c.Title, "condition", c.Code, "subject", name, "lasted", time.Since(was.Since).Round(time.Millisecond))
	}
}

// Report is a snapshot.
func (h *Health) Report() Report {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Report{Ready: true, Conditions: []Active{}}
	raised := map[string]bool{}
	for key := range h.active {
		raised[key.code] = true
	}
	for _, a := range h.active {
		if a.Severity == Critical {
			r.Ready = false
		}
		if !explained(a.condition.DependsOn, raised) {
			r.Conditions = append(r.Conditions, a)
		}
	}
	slices.SortFunc(r.Conditions, func(a, b Active) int {
		return cmp.Or(cmp.Compare(a.Severity, b.Severity), cmp.Compare(a.Code, b.Code), cmp.Compare(a.Subject, b.Subject))
	})
	return r
}

// explained tells whether the cause of a condition, or the cause of that, is raised.
func explained(cause *Condition, raised map[string]bool) bool {
	for ; cause != nil; cause = cause.DependsOn {
		if raised[cause.Code] {
			return true
		}
	}
	return false
}

var conditionsDesc = prometheus.NewDesc("headrace_health_conditions", "Conditions that are raised, by code.", []string{"code", "severity"}, nil)

// Describe makes Health a prometheus.Collector.
func (h *Health) Describe(out chan<- *prometheus.Desc) { out <- conditionsDesc }

// Collect counts the raised conditions.
func (h *Health) Collect(out chan<- prometheus.Metric) {
	counts := map[*Condition]int{}
	h.mu.Lock()
	for _, a := range h.active {
		counts[a.condition]++
	}
	h.mu.Unlock()
	for c, n := range counts {
		out <- prometheus.MustNewConstMetric(conditionsDesc, prometheus.GaugeValue, float64(n), c.Code, string(c.Severity))
	}
}
