package app

import (
	"context"
	"time"

	"github.com/headrace/headrace/internal/control"
	"github.com/headrace/headrace/internal/observe"
)

var (
	engineDown   = &observe.Condition{Code: "engine-commit", Severity: observe.Critical, Title: "the engine cannot make writes durable"}
	diskFull     = &observe.Condition{Code: "disk-nearly-full", Severity: observe.Critical, Title: "the disk is nearly full, new work is refused"}
	disconnected = &observe.Condition{Code: "engine-connection", Severity: observe.Critical, Title: "the engine is not reached"}
)

// engineConditions maps the engine's own names to conditions.
var engineConditions = map[string]*observe.Condition{"commit": engineDown, "disk": diskFull, "connection": disconnected}

// openDoors lets requests in: operators first, so that a node that is not ready can be looked at.
func (a *App) openDoors(ctx context.Context) error {
	a.control = control.New(control.Deps{Config: a.config, Engine: a.engine, Functions: a.functions, Jobs: a.jobs, Pools: a.pools.list, Keys: a.keys, Cache: a.gateway.Cache, Live: a.live, Edge: a.edge,
		Upstreams: control.Upstreams{Status: func() any { return a.gateway.Status() }, Replace: a.gateway.Replace},
		Metrics:   a.registry, Health: a.health, Traces: a.traces, Log: a.log, Socket: a.sockets.Listen, Reload: a.reload})
	a.registry.MustRegister(a.control.Traffic)
	a.registry.MustRegister(a.edge.Collectors()...)
	if limit := serviceTime(a.config); limit > 0 {
		a.health.Raise(servicesStart, "", "it opens when each has a process that is ready, after %s at most", limit)
	}
	if err := a.control.Start(ctx); err != nil {
		return err
	}
	if err := a.openWorkersDoor(); err != nil {
		return err
	}
	go a.watchEngine(ctx)
	return a.edge.Start(ctx)
}

// watchEngine turns what the engine knows of itself into conditions.
func (a *App) watchEngine(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		for _, c := range a.engine.Health() {
			condition := engineConditions[c.Name]
			if c.OK {
				a.health.Clear(condition, "")
			} else {
				a.health.Raise(condition, "", "%s", c.Reason)
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
