package exchange

import (
	"context"
	"log/slog"

	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// Run calls a function for somebody who is no HTTP client and returns its result. The arguments must fit its signature already, and are
// kept. If the context ends, the function is cancelled and the error is the context's. A generator is HR2011.
func (p *Planes) Run(ctx context.Context, fn *functions.Function, args []byte, caller identity.Caller, log *slog.Logger) ([]byte, error) {
	if fn.Stream {
		return nil, problem.New("HR2011", "%s gives its result in pieces", fn.Name).At(fn.Name).Hinting("call it over HTTP")
	}
	args, err := fn.Locate(args, p.Engine.Blobs())
	if err != nil {
		return nil, err
	}
	task := &workers.Task{Function: fn.Name, Args: args, Timeout: seconds(fn.Options.Timeout)}
	task.Meta = callMeta("", caller, task)
	c := &call{planes: p, log: log, function: fn.Name, done: make(chan struct{}, 1)}
	task.Sink = c
	for starts := 1; ; starts++ {
		run, err := fn.Pool.Call(task, callPatience(fn, task))
		if err != nil {
			return nil, err
		}
		select {
		case <-c.done:
		case <-ctx.Done():
			run.Cancel("gone")
			return nil, ctx.Err()
		}
		if c.outcome.Ending != workers.Interrupted || c.outcome.Error != nil || starts == mostStarts {
			break
		}
	}
	if err := c.failure(fn); err != nil {
		return nil, err
	}
	return c.result, nil
}
