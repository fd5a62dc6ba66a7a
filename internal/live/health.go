package live

import (
	"time"

	"github.com/headrace/headrace/internal/observe"
)

var (
	manySlow = &observe.Condition{Code: "live-slow-clients", Severity: observe.Warning, Title: "many live clients read too slowly"}
	unstored = &observe.Condition{Code: "live-history", Severity: observe.Warning, Title: "publications cannot be stored"}
)

const (
	watchEvery = 10 * time.Second
	muchSlow   = 50 // clients that are slow in that time and tell of a problem
)

// watch raises conditions for what goes wrong often.
func (l *Live) watch() {
	if l.Health == nil {
		return
	}
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	var slow, failed uint64
	for {
		select {
		case <-l.running.Done():
			return
		case <-every.C:
		}
		if n := l.metrics.slow.Load() - slow; n >= muchSlow {
			l.Health.Raise(manySlow, "", "%d clients were too slow for their channels within %s", n, watchEvery)
		} else {
			l.Health.Clear(manySlow, "")
		}
		if n := l.metrics.unstored.Load() - failed; n > 0 {
			l.Health.Raise(unstored, "", "%d publications were not stored within %s", n, watchEvery)
		} else {
			l.Health.Clear(unstored, "")
		}
		slow, failed = l.metrics.slow.Load(), l.metrics.unstored.Load()
	}
}
