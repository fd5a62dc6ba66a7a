// Package gateway is the plane that passes requests on: upstreams and how they are asked, and the policies that stand around a route. Each
// policy is a package below; here they are joined, in their order.
package gateway

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
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
)

// Deps are the parts that the gateway needs.
type Deps struct {
	Config *config.Config
	Engine *engine.Engine
	Keys   *keys.Store
	Health *observe.Health
	// Call runs a function and returns its result, JSON; args are an object.
	Call func(ctx context.Context, name string, args []byte, caller identity.Caller) ([]byte, error)
	Log  *slog.Logger
}

// Gateway is what outlives a change of the configuration: connections, processes, counts, keys, kept answers.
type Gateway struct {
	Cache  *cache.Store
	Limits *limit.Store

	deps      Deps
	services  *service.Supervisor
	upstreams *balance.Set
	tokens    *auth.Registry
	encoders  *compress.Encoders
	proxied   *proxy.Metrics
	merged    *merge.Metrics
	checked   *openapi.Metrics
	dry       bool // nothing is put in force
}

// Open makes the gateway of a node; no upstream is asked yet.
func Open(d Deps) (*Gateway, error) {
	g := &Gateway{deps: d, tokens: auth.NewRegistry(), encoders: compress.NewEncoders(), proxied: proxy.NewMetrics(), merged: merge.NewMetrics(), checked: openapi.NewMetrics()}
	var err error
	if g.services, err = service.New(service.Options{Folder: sockets(d.Config.Engine.Data), Log: d.Log, Health: d.Health}); err != nil {
		return nil, err
	}
	g.Limits = limit.NewStore(limit.Deps{Engine: d.Engine, Log: d.Log, Keys: d.Config.Gateway.LimitKeys})
	g.Cache = cache.NewStore(d.Config.Gateway.CacheMemory)
	g.upstreams = balance.NewSet(balance.Deps{Log: d.Log, Health: d.Health, Services: g.services})
	return g, nil
}

// Stop ends health checks and processes, and what is written in the background.
func (g *Gateway) Stop(ctx context.Context) error {
	g.upstreams.Stop()
	g.services.Stop(ctx)
	g.Limits.Close()
	g.Cache.Close()
	return nil
}

// Await waits until the services of the upstreams in force have begun; see balance.Set.
func (g *Gateway) Await(ctx context.Context) { g.upstreams.Await(ctx) }

// Status tells of the upstreams and their targets.
func (g *Gateway) Status() []balance.Status { return g.upstreams.Status() }

// Replace starts the processes of a service again, one after the other, and waits for it: HR4024 if there is no such service, HR4025 if a
// new process does not become ready, with which the old ones stay.
func (g *Gateway) Replace(ctx context.Context, name string) error {
	return g.services.Replace(ctx, name)
}

// Tunnels is the number of upgraded connections that are open.
func (g *Gateway) Tunnels() int64 { return g.proxied.Tunnels() }

// Collectors are the figures of the gateway.
func (g *Gateway) Collectors() []prometheus.Collector {
	return []prometheus.Collector{g.upstreams, g.Limits, g.Cache, g.proxied, g.merged, g.checked, g.encoders.Traffic, g.tokens}
}

// sockets is the folder for the sockets of services, of this process alone: one that it replaces may still have requests for its own
// services. Those of processes that are gone are removed.
func sockets(data string) string {
	base := filepath.Join(data, "services")
	others, _ := os.ReadDir(base)
	for _, e := range others {
		if pid, err := strconv.Atoi(e.Name()); err == nil && syscall.Kill(pid, 0) == syscall.ESRCH {
			_ = os.RemoveAll(filepath.Join(base, e.Name()))
		}
	}
	return filepath.Join(base, strconv.Itoa(os.Getpid()))
}
