package observe

import (
	"fmt"
	"net/http"
	"regexp"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// NewRegistry returns a registry with the metrics of the Go runtime, of the process and of the build. Planes register their own,
// named headrace_<plane>_<thing>_<unit>; CheckNames holds them to it.
func NewRegistry(version string) *prometheus.Registry {
	registry := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "headrace_build_info", Help: "Version of headrace; the value is always 1.",
		ConstLabels: prometheus.Labels{"version": version, "go": runtime.Version()},
	})
	build.Set(1)
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), build)
	return registry
}

// MetricsHandler serves /metrics.
func MetricsHandler(registry *prometheus.Registry) http.Handler {
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry, EnableOpenMetrics: true})
}

var metricName = regexp.MustCompile(`^(headrace_(build_info|(edge|gateway|live|jobs|workers|telemetry|engine|control|health)(_[a-z0-9]+)+)|(go|process|promhttp)_.*)$`)

// CheckNames is an error if a metric does not belong to a plane or has no help.
func CheckNames(g prometheus.Gatherer) error {
	families, err := g.Gather()
	if err != nil {
		return err
	}
	for _, family := range families {
		if !metricName.MatchString(family.GetName()) {
			return fmt.Errorf("metric %s is not named headrace_<plane>_<thing>_<unit>", family.GetName())
		}
		if family.GetHelp() == "" {
			return fmt.Errorf("metric %s has no help", family.GetName())
		}
	}
	return nil
}
