package gateway

import (
	"context"
	"log/slog"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/auth"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/cache"
	"github.com/headrace/headrace/internal/gateway/compress"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/gateway/limit"
	"github.com/headrace/headrace/internal/gateway/merge"
	"github.com/headrace/headrace/internal/gateway/openapi"
	"github.com/headrace/headrace/internal/gateway/proxy"
	"github.com/headrace/headrace/internal/gateway/service"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Check makes a gateway that compiles routes and policies, and never asks anybody: nothing that it prepares is put in force. Its keys and
// counts are empty, it runs no functions. Stop it.
func Check(c *config.Config, log *slog.Logger) (*Gateway, error) {
	health := observe.NewHealth(log)
	services, err := service.New(service.Options{Log: log, Health: health}) // to look at commands; it runs none
	if err != nil {
		return nil, err
	}
	return &Gateway{
		deps: Deps{Config: c, Keys: &keys.Store{}, Log: log, Call: func(_ context.Context, name string, _ []byte, _ identity.Caller) ([]byte, error) {
			return nil, problem.New("HR2003", "%s is not run here", name)
		}},
		Limits: limit.NewStore(limit.Deps{Log: log}), tokens: auth.NewRegistry(), encoders: compress.NewEncoders(), proxied: proxy.NewMetrics(), merged: merge.NewMetrics(), checked: openapi.NewMetrics(), Cache: cache.NewStore(c.Gateway.CacheMemory),
		upstreams: balance.NewSet(balance.Deps{Log: log, Health: health, Services: services}), services: services, dry: true,
	}, nil
}
