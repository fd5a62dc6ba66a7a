// Package app builds the planes and joins them: the order in which they start, how they are wired, and the order in which they drain.
package app

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/app/handover"
	"github.com/headrace/headrace/internal/app/notify"
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/control"
	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/gateway"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/trim"
	"github.com/headrace/headrace/internal/workers"
)

// Options say how a node runs beside its configuration.
type Options struct {
	Version string
	Dev     bool      // watch the apps, go on where one is broken
	Out     io.Writer // for people: the banner, and problems of the app while developing
	Log     io.Writer // for logs

	Terminal bool // Log is a terminal

	Reload func() (*config.Config, error) // reads the configuration again, on SIGHUP; required
	Files  []string                       // of the configuration, watched while developing; they need not exist

	Sockets     *handover.Sockets     // required
	Predecessor *handover.Predecessor // whose place this process takes; nil if there is none
}

// restored tells whether the process goes on in the stead of one that could not be replaced.
func (o *Options) restored() bool { return o.Predecessor != nil && o.Predecessor.Former != nil }

// App is a running node.
type App struct {
	config     *config.Config
	out        io.Writer
	log        *slog.Logger
	level      *slog.LevelVar // of log
	registry   *prometheus.Registry
	health     *observe.Health
	traces     *observe.Traces
	deaths     *prometheus.CounterVec
	runtime    string
	engine     *engine.Engine
	keys       *keys.Store
	functions  *functions.Registry
	jobs       *jobs.Jobs
	operations operations // of functions on live channels
	pools      pools
	remote     *workers.Listener
	live       *live.Live // nil if it is not configured
	control    *control.Server
	gateway    *gateway.Gateway
	edge       *edge.Server
	reload     func(context.Context) (taken, kept []string, err error)
	sockets    *handover.Sockets
	serving    bool                          // it has taken connections, and is what the service manager knows
	successor  *handover.Successor           // nil unless this process is being replaced
	held       *handover.Held                // the sockets, until the successor serves
	texts      atomic.Pointer[[]config.Text] // of the configuration that is in force as a whole
}

// stopTime bounds everything after the pools have drained.
const stopTime = 10 * time.Second

// Run starts a node, serves until the context ends, then drains: the doors close, running jobs get the grace of their pool, everything
// recorded is committed. An error is a problem that kept the node from starting, or that ended it.
func Run(ctx context.Context, c *config.Config, o Options) (err error) {
	began := time.Now()
	a := &App{config: c, out: o.Out, sockets: o.Sockets, pools: pools{all: map[string]*workers.Pool{}}}
	a.log, a.level = observe.NewLog(o.Log, observe.LogOptions{Level: c.Log.Level, Format: c.Log.Format, Terminal: o.Terminal})
	slog.SetDefault(a.log)
	a.proved(c)
	defer func(asked context.Context) {
		if err != nil && o.Predecessor != nil {
			o.Predecessor.Failed(err)
		}
		if lost := a.stop(asked); err == nil {
			err = lost
		}
	}(ctx)
	ctx, end := context.WithCancel(ctx)
	defer end()                 // before the stop, of which nobody else is to be told
	reloads := a.listen(ctx, o) // from here on, so that no change is missed while the node starts
	if o.Predecessor != nil {
		if err := o.Predecessor.Await(ctx); err != nil {
			return err
		}
	}
	replaced := replaced()
	a.reload = reloads.ask
	if err := a.start(ctx, o); err != nil {
		return err
	}
	if o.restored() {
		a.health.Raise(notReplaced, "", "%s", o.Predecessor.Former.Why)
	}
	a.serving = true
	if a.sockets.DropRest(); o.Predecessor != nil {
		o.Predecessor.Serving()
	} else {
		a.tell(notify.Ready)
	}
	hangup := make(chan struct{})
	go reloads.run(ctx, hangup)
	a.banner(o, time.Since(began))
	trim.Now() // what only the start needed
	watched := make(chan error, 1)
	if o.Dev {
		go func() { watched <- a.develop(ctx) }()
	}
	for {
		select {
		case <-ctx.Done():
			a.log.Info("draining")
			return nil
		case <-hangup:
			a.log.Info("draining, the terminal is gone")
			return nil
		case err := <-watched:
			return err
		case <-a.jobs.Broken():
			// What was acknowledged is safe; nothing more can be. A restart reads the journal again.
			return problem.New("HR5001", "the job journal cannot be written any more")
		case <-replaced:
			next, err := a.succeed(ctx)
			if err == nil {
				a.log.Info("handing over", "pid", next.Pid)
				a.successor = next
				return nil
			}
			a.log.Error("this process is not replaced and goes on", "error", err)
		}
	}
}

// start builds the planes from the inside out: engine, jobs, workers, doors.
func (a *App) start(ctx context.Context, o Options) (err error) {
	c := a.config
	a.registry = observe.NewRegistry(o.Version)
	a.health = observe.NewHealth(a.log)
	a.deaths = newDeaths()
	if a.traces, err = observe.NewTraces(ctx, observe.TraceOptions{OTLP: c.Trace.OTLP, Sample: c.Trace.Sample, Headers: c.Trace.Headers, Node: c.Node, Version: o.Version}); err != nil {
		return problem.New("HR9003", "trace exporter: %w", err).At("trace.otlp")
	}
	if a.engine, err = engine.Open(ctx, engine.Config{
		Data: c.Engine.Data, URL: c.Engine.URL, Durability: engine.Durability(c.Engine.Durability), Node: c.Node, MinFree: minFree(c), Replicas: c.Engine.Replicas,
	}, a.log); err != nil {
		return err
	}
	if a.keys, err = keys.Open(ctx, a.engine, a.log); err != nil {
		return err
	}
	if a.runtime, err = extract(c.Engine.Data); err != nil {
		return err
	}
	a.functions = functions.NewRegistry()
	if a.jobs, err = jobs.Open(ctx, c, a.engine, a.functions, a.log); err != nil {
		return err
	}
	a.jobs.SetTraces(a.traces)
	a.jobs.SetOperations(&a.operations)
	a.registry.MustRegister(a.jobs.Metrics, a.health, a.deaths, engineMetrics{a.engine})
	if err := a.openGateway(); err != nil {
		return err
	}
	a.edge = edge.New(edge.Deps{Config: c, Engine: a.engine, Functions: a.functions, Jobs: a.jobs, Health: a.health, Traces: a.traces, Log: a.log,
		Gateway: forEdge{a.gateway}, Sockets: a.sockets, Access: o.Log, Opening: func(ctx context.Context) error { return a.awaitServices(ctx, o.Dev) }})
	if err := a.openLive(ctx); err != nil {
		return err
	}
	if err := a.openPools(ctx, o); err != nil {
		return err
	}
	return a.openDoors(ctx)
}

// minFree is the guard's limit; the engine takes 0 for its default, and anything below for none.
func minFree(c *config.Config) int64 {
	if c.Engine.MinFree == 0 {
		return -1
	}
	return int64(c.Engine.MinFree)
}

// openPools starts the pools. While developing, a broken app is shown and waited for. A process that goes on instead of a successor serves
// without it: the app may be what the successor failed of, and the rest is better than nothing.
func (a *App) openPools(ctx context.Context, o Options) error {
	for name, c := range a.config.Pools {
		if err := a.openPool(ctx, name, c); err != nil {
			switch {
			case ctx.Err() != nil || !o.Dev && !o.restored():
				return err
			case o.Dev:
				a.complain(err)
			default:
				a.log.Error("pool is not served", "pool", name, "error", err)
				a.health.Raise(poolMissing, name, "%s", problem.From(err).What)
			}
		}
	}
	return nil
}

// banner tells a person what runs where, and what to do next.
func (a *App) banner(o Options, took time.Duration) {
	if o.Out == nil {
		return
	}
	mode, next := "run", ""
	if o.Dev {
		mode = "dev"
		next = "  For production use: headrace run\n"
	}
	fmt.Fprintf(o.Out, "\n  headrace %s  %s, ready in %s\n\n", o.Version, mode, took.Round(time.Millisecond))
	fmt.Fprintf(o.Out, "  public    http://%s\n", a.edge.Addr())
	if secure := a.edge.SecureAddr(); secure != nil {
		also := ""
		if a.config.Server.TLS.HTTP3 {
			also = " (HTTP/3 too)"
		}
		fmt.Fprintf(o.Out, "  public    https://%s%s\n", secure, also)
	}
	fmt.Fprintf(o.Out, "  admin     http://%s\n  data      %s (%s)\n", a.control.Addr(), a.config.Engine.Data, a.engine.Durability())
	for _, fn := range a.functions.All() {
		detail := fn.Kind
		if fn.Options.Route != "" {
			detail += "  " + fn.Options.Route
		}
		if fn.Options.Cron != "" {
			detail += "  cron " + fn.Options.Cron
		}
		fmt.Fprintf(o.Out, "  function  %-20s %s\n", fn.Name, detail)
	}
	fmt.Fprintf(o.Out, "%s\n", next)
}

// stop undoes start, whatever of it was done, from the outside in. Asked is done if that was asked for. An error tells that this process was to be
// replaced, and that nobody serves.
func (a *App) stop(asked context.Context) (err error) {
	if a.serving && a.successor == nil {
		a.tell(notify.Stopping)
	}
	grace := stopTime
	for _, c := range a.config.Pools {
		grace = max(grace, c.Grace+stopTime)
	}
	within := func(limit time.Duration, f func(context.Context)) { // so that what takes too long leaves the others theirs
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		f(ctx)
	}
	if a.jobs != nil {
		a.jobs.Quiesce()
	}
	drain, cut := context.WithTimeout(context.Background(), a.config.Server.HandoverTimeout)
	defer cut()
	drained := make(chan struct{})
	if a.successor == nil {
		within(stopTime, a.stopPublic)
	} else {
		go func() {
			defer close(drained)
			a.edge.Drain(drain)
		}()
	}
	within(grace, func(ctx context.Context) {
		a.pools.stop(ctx, a.log)
		if a.live != nil { // after the pools, whose last tasks may publish
			a.stopped("live connections", a.live.Stop(ctx))
		}
		if a.remote != nil {
			a.stopped("workers listener", a.remote.Stop(ctx))
		}
	})
	within(stopTime, a.stopRecords)
	if a.successor != nil {
		err = a.leave(asked, drained)
		cut() // if it has failed, requests have the time of any other stop
		<-drained
		within(stopTime, a.stopPublic)
	}
	if a.traces != nil {
		within(stopTime, func(ctx context.Context) { a.stopped("traces", a.traces.Stop(ctx)) })
	}
	return err
}

// stopRecords ends what records, and the engine that keeps it.
func (a *App) stopRecords(ctx context.Context) {
	if a.control != nil {
		a.stopped("admin listener", a.control.Stop(ctx))
	}
	if a.jobs != nil {
		a.stopped("jobs", a.jobs.Stop(ctx))
	}
	if a.keys != nil {
		a.stopped("API keys", a.keys.Stop(ctx))
	}
	if a.engine != nil {
		a.stopped("engine", a.engine.Stop(ctx))
	}
}

// stopPublic ends what has to do with requests of the public listener.
func (a *App) stopPublic(ctx context.Context) {
	if a.edge != nil {
		a.stopped("public listener", a.edge.Stop(ctx))
	}
	if a.gateway != nil {
		a.stopped("gateway", a.gateway.Stop(ctx))
	}
}

func (a *App) stopped(what string, err error) {
	if err != nil {
		a.log.Warn("did not stop cleanly", "part", what, "error", err)
	}
}
