package edge_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/gateway"
	"github.com/headrace/headrace/internal/observe"
)

// watched is the gateway, which lets a test look just before upstreams are put in force.
type watched struct {
	*gateway.Gateway
	before func()
}

type watchedPlan struct {
	*gateway.Plan
	before func()
}

func (g *watched) Prepare(ctx context.Context, c *config.Config) (edge.Plan, error) {
	p, err := g.Gateway.Prepare(ctx, c)
	return watchedPlan{p, g.before}, err
}

func (p watchedPlan) Commit() {
	p.before()
	p.Plan.Commit()
}

// No request takes a new route before the upstreams are in force that it asks: until then those of services have no process.
func TestRoutesFollowUpstreams(t *testing.T) {
	log := slog.New(slog.DiscardHandler)
	configure := func(body string) *config.Config {
		c := config.Default()
		c.Server.Listen = "127.0.0.1:0"
		c.Engine.Data = filepath.Join(t.TempDir(), "data")
		c.Routes = []config.Route{{Match: "/", Respond: &config.Respond{Status: 200, Body: body}}}
		return c
	}
	first := configure("one")
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	e, err := engine.Open(ctx, engine.Config{Data: first.Engine.Data, MinFree: -1}, log)
	must(t, err)
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	health := observe.NewHealth(log)
	g, err := gateway.Open(gateway.Deps{Config: first, Engine: e, Health: health, Log: log})
	must(t, err)
	t.Cleanup(func() { _ = g.Stop(context.Background()) })
	through := &watched{Gateway: g, before: func() {}}
	s := edge.New(edge.Deps{Config: first, Engine: e, Functions: functions.NewRegistry(), Health: health, Log: log, Gateway: through})
	must(t, s.Start(ctx))
	t.Cleanup(func() { _ = s.Stop(context.Background()) })
	said := func() string {
		answer, err := http.Get("http://" + s.Addr().String() + "/")
		must(t, err)
		defer answer.Body.Close()
		body, err := io.ReadAll(answer.Body)
		must(t, err)
		return string(body)
	}
	looked := false
	through.before = func() {
		looked = true
		if got := said(); got != "one" {
			t.Errorf("before the upstreams are in force: %q", got)
		}
	}
	must(t, s.Configure(configure("two")))
	if got := said(); got != "two" || !looked {
		t.Errorf("afterwards: %q, looked %v", got, looked)
	}
}
