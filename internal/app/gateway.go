package app

import (
	"context"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway"
	"github.com/headrace/headrace/internal/identity"
)

// forEdge is the gateway as the public listener wants it.
type forEdge struct{ *gateway.Gateway }

func (g forEdge) Prepare(ctx context.Context, c *config.Config) (edge.Plan, error) {
	return g.Gateway.Prepare(ctx, c)
}

// openGateway makes the gateway; the routes of the public listener ask it.
func (a *App) openGateway() (err error) {
	ask := &authority{planes: &exchange.Planes{Jobs: a.jobs, Functions: a.functions, Engine: a.engine, Config: a.config}, log: a.log}
	a.gateway, err = gateway.Open(gateway.Deps{Config: a.config, Engine: a.engine, Keys: a.keys, Health: a.health, Log: a.log,
		Call: func(ctx context.Context, name string, args []byte, caller identity.Caller) ([]byte, error) {
			return ask.call(ctx, name, args, caller)
		}})
	if err != nil {
		return err
	}
	a.registry.MustRegister(a.gateway.Collectors()...)
	return a.gateway.Cache.Join(a.engine)
}
