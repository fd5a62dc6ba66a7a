package app

import (
	"context"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/observe"
)

// devServiceTime is how long services are waited for while developing, where one may be broken for long.
const devServiceTime = 2 * time.Second

var servicesStart = &observe.Condition{Code: "services-starting", Severity: observe.Critical, Title: "services of upstreams start, the public listener is not open yet", Passing: true}

// awaitServices waits, before the public listener opens, until the processes of upstreams take requests. One that fails or is late keeps the
// others waiting no longer than its start_timeout. The error is that of the context.
func (a *App) awaitServices(ctx context.Context, dev bool) error {
	defer a.health.Clear(servicesStart, "")
	limited := ctx
	if dev {
		var cancel context.CancelFunc
		limited, cancel = context.WithTimeout(ctx, devServiceTime)
		defer cancel()
	}
	a.gateway.Await(limited)
	return ctx.Err()
}

// serviceTime is how long the services of a configuration may take to start, all at the same time; 0 without any.
func serviceTime(c *config.Config) (limit time.Duration) {
	for _, u := range c.Upstreams {
		if u.Run != "" {
			limit = max(limit, u.StartTimeout)
		}
	}
	return limit
}
