package gateway

import (
	"context"
	"log/slog"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/auth"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/compress"
	"github.com/headrace/headrace/internal/gateway/limit"
	"github.com/headrace/headrace/internal/gateway/proxy"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Check makes a gateway that compiles routes and policies, and never asks anybody: nothing that it prepares is put in force. Its keys and
// counts are empty, it runs no functions.
func Check(c *config.Config, log *slog.Logger) *Gateway {
	return &Gateway{
		deps: Deps{Config: c, Log: log, Call: func(_ context.Context, name string, _ []byte, _ exchange.Caller) ([]byte, error) {
			return nil, problem.New("HR2003", "%s is not run here", name)
		}},
		Limits: limit.NewStore(limit.Deps{Log: log}), tokens: auth.NewRegistry(), encoders: compress.NewEncoders(), proxied: proxy.NewMetrics(),
		upstreams: balance.NewSet(balance.Deps{Log: log, Health: observe.NewHealth(log)}), dry: true,
	}
}
