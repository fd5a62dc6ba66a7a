package app

import (
	"context"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/live"
)

// openLive starts the live plane if it is configured, and lets functions reach it. It comes before the pools, whose functions may publish
// from their first task on, and after the edge, whose follow tokens open the channels of jobs.
func (a *App) openLive(ctx context.Context) (err error) {
	if a.config.Live == nil {
		return nil
	}
	planes := &exchange.Planes{Jobs: a.jobs, Functions: a.functions, Engine: a.engine, Config: a.config}
	a.live, err = live.Open(ctx, live.Deps{
		Config: a.config.Live, Engine: a.engine, Authority: &authority{planes: planes, log: a.log},
		Sources: []live.Source{&jobChannels{jobs: a.jobs, follows: a.edge.Follows}}, Health: a.health, Log: a.log,
		Limits: func(list []config.Limit) (live.Limiter, error) { return a.gateway.Limits.Commands(list) },
	})
	if err != nil {
		return err
	}
	a.operations.live = a.live
	a.edge.SetLive(a.live)
	a.registry.MustRegister(a.live)
	return nil
}
