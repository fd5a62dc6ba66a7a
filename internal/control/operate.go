package control

import (
	"context"
	"encoding/json"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// drainTime is how long a drain waits if ?timeout does not say.
const drainTime = 30 * time.Second

func (s *Server) queues(r *exchange.Request) error {
	return encode(r, map[string][]jobs.QueueInfo{"queues": s.Jobs.Queues()})
}

func (s *Server) queue(r *exchange.Request) error {
	for _, q := range s.Jobs.Queues() {
		if q.Name == string(r.Params[0]) {
			return encode(r, q)
		}
	}
	return problem.New("HR2012", "no queue %.100q", r.Params[0]).At(string(r.Params[0]))
}

func (s *Server) pause(r *exchange.Request) error  { return s.setPaused(r, true) }
func (s *Server) resume(r *exchange.Request) error { return s.setPaused(r, false) }

func (s *Server) setPaused(r *exchange.Request, paused bool) error {
	if err := s.Jobs.Pause(r.Running(), string(r.Params[0]), paused); err != nil {
		return err
	}
	return s.queue(r)
}

func (s *Server) drainQueue(r *exchange.Request) error {
	ctx, cancel, err := bound(r)
	if err != nil {
		return err
	}
	defer cancel()
	defer r.WatchClient(cancel)()
	if err := s.Jobs.Drain(ctx, string(r.Params[0])); err != nil {
		return err
	}
	return s.queue(r)
}

// bound is the time that the request may take: ?timeout, or drainTime.
func bound(r *exchange.Request) (context.Context, context.CancelFunc, error) {
	timeout := drainTime
	if text := r.QueryArgs().Peek("timeout"); len(text) > 0 {
		var err error
		if timeout, err = config.ParseDuration(string(text)); err != nil || timeout < 0 {
			return nil, nil, problem.New("HR2004", "timeout %.40q is not a duration", text).At("timeout").Hinting("write a number and a unit, as in 10s")
		}
	}
	ctx, cancel := context.WithTimeout(r.Running(), timeout)
	return ctx, cancel, nil
}

// poolShown is a pool as the API shows it.
type poolShown struct {
	workers.Status
	Problem json.RawMessage `json:"problem,omitempty"`
}

func showPool(p *workers.Pool) poolShown {
	shown := poolShown{Status: p.Status()}
	if shown.Status.Problem != nil {
		shown.Problem = exchange.AppendProblem(nil, shown.Status.Problem)
	}
	return shown
}

func (s *Server) pools(r *exchange.Request) error {
	list := []poolShown{}
	for _, p := range s.Pools() {
		list = append(list, showPool(p))
	}
	return encode(r, map[string][]poolShown{"pools": list})
}

func (s *Server) find(r *exchange.Request) (*workers.Pool, error) {
	for _, p := range s.Pools() {
		if p.Name() == string(r.Params[0]) {
			return p, nil
		}
	}
	return nil, problem.New("HR6008", "no pool %.100q", r.Params[0]).At(string(r.Params[0]))
}

func (s *Server) pool(r *exchange.Request) error {
	p, err := s.find(r)
	if err != nil {
		return err
	}
	return encode(r, showPool(p))
}

// restartPool swaps the workers one by one; a client that goes away does not stop it half-way.
func (s *Server) restartPool(r *exchange.Request) error {
	p, err := s.find(r)
	if err != nil {
		return err
	}
	s.restart.Lock()
	defer s.restart.Unlock()
	if err := p.Restart(r.Running()); err != nil {
		return err
	}
	if err := s.Functions.SetPool(p); err != nil {
		return err
	}
	return encode(r, showPool(p))
}

// drainPool ends the pool's workers once their tasks have ended.
func (s *Server) drainPool(r *exchange.Request) error {
	p, err := s.find(r)
	if err != nil {
		return err
	}
	ctx, cancel, err := bound(r)
	if err != nil {
		return err
	}
	defer cancel()
	p.Drain(ctx)
	return encode(r, showPool(p))
}

// functionShown is a function as the API shows it.
type functionShown struct {
	workers.Function
	Pool    string    `json:"pool"`
	NextRun time.Time `json:"next_run,omitzero"`
}

func (s *Server) showFunction(fn *functions.Function) functionShown {
	shown := functionShown{Function: fn.Function, Pool: fn.Pool.Name(), NextRun: s.Jobs.NextRun(fn.Name).UTC()}
	if shown.Blobs == nil {
		shown.Blobs = []string{}
	}
	if len(shown.Result) == 0 {
		shown.Result = json.RawMessage("{}")
	}
	return shown
}

func (s *Server) functions(r *exchange.Request) error {
	list := []functionShown{}
	for _, fn := range s.Functions.All() {
		list = append(list, s.showFunction(fn))
	}
	return encode(r, map[string][]functionShown{"functions": list})
}

func (s *Server) function(r *exchange.Request) error {
	fn, err := s.Functions.Get(string(r.Params[0]))
	if err != nil {
		return err
	}
	return encode(r, s.showFunction(fn))
}

// alive answers as long as the process does.
func (s *Server) alive(r *exchange.Request) error {
	r.JSON(200, []byte(`{"status":"alive"}`))
	return nil
}

// ready answers 503 while the node should get no traffic.
func (s *Server) ready(r *exchange.Request) error {
	report := s.Health.Report()
	if err := encode(r, report); err != nil {
		return err
	}
	if !report.Ready {
		r.SetStatusCode(503)
		r.Response.Header.Set("Retry-After", "1")
	}
	return nil
}
