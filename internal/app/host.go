package app

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

var poolUnhealthy = &observe.Condition{Code: "pool-unhealthy", Severity: observe.Critical, Title: "workers of a pool die as they start"}

// host hears what happens in one pool and tells logs, metrics and health.
type host struct {
	pool   string
	log    *slog.Logger
	health *observe.Health
	deaths *prometheus.CounterVec
	joined func() // called when a worker is ready; nil if its functions are known
}

func newDeaths() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "headrace_workers_deaths_total",
		Help: "Worker processes that ended, by pool and reason."}, []string{"pool", "reason"})
}

// Line implements workers.Host.
func (h *host) Line(worker, stream string, line []byte) {
	h.log.Info(string(line), "pool", h.pool, "worker", worker, "stream", stream)
}

// WorkerStarted implements workers.Host.
func (h *host) WorkerStarted(worker string, pid int) {
	h.log.Debug("worker ready", "pool", h.pool, "worker", worker, "pid", pid)
	if h.joined != nil {
		h.joined()
	}
}

// WorkerDied implements workers.Host.
func (h *host) WorkerDied(worker string, pid int, death workers.Death) {
	h.deaths.WithLabelValues(h.pool, death.Reason).Inc()
	level := slog.LevelDebug
	switch death.Reason {
	case "exit", "signal", "out_of_memory", "protocol":
		level = slog.LevelWarn
	}
	h.log.Log(context.Background(), level, "worker ended", "pool", h.pool, "worker", worker, "pid", pid, "reason", death.Reason, "exit", death.ExitCode,
		"signal", death.Signal, "last", death.Last)
}

// Health implements workers.Host.
func (h *host) Health(unhealthy *problem.Error) {
	if unhealthy != nil {
		h.health.Raise(poolUnhealthy, h.pool, "%s", unhealthy.What)
		return
	}
	h.health.Clear(poolUnhealthy, h.pool)
}
