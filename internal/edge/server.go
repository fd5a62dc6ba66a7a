// Package edge is the public listener. It answers what routes expose and nothing else: routes that functions declare, routes of the
// configuration, and the pages that follow a job, which need the token of the answer that accepted it.
package edge

import (
	"context"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Deps are the parts that routes lead to. All but Traces are required.
type Deps struct {
	Config    *config.Config
	Engine    *engine.Engine
	Functions *functions.Registry
	Jobs      *jobs.Jobs
	Health    *observe.Health
	Traces    *observe.Traces
	Log       *slog.Logger
}

// Live answers the requests of live connections: those below the prefix that it has now.
type Live interface {
	Prefix() string
	Serve(*exchange.Request) error
}

// Server is the public listener.
type Server struct {
	Deps
	// Traffic are the listener's figures, a prometheus.Collector.
	Traffic *exchange.Metrics

	door    *exchange.Server
	live    Live // nil if it is off
	planes  *exchange.Planes
	table   atomic.Pointer[table]
	key     followKey
	folders map[string]*folder // of static routes, by path

	building sync.Mutex     // held while the table is built
	declared *config.Config // whose routes are served; guarded by building
}

var badRoute = &observe.Condition{Code: "edge-bad-route", Severity: observe.Warning, Title: "a route is not served"}

// New makes the server; Start lets it listen. It follows the changes of the registry, so it must be made before functions change at the
// same time.
func New(d Deps) *Server {
	s := &Server{Deps: d, folders: map[string]*folder{}, declared: d.Config}
	s.planes = &exchange.Planes{Jobs: d.Jobs, Functions: d.Functions, Engine: d.Engine, Config: d.Config, Public: true}
	s.door = exchange.NewServer(exchange.Options{
		Plane: "edge", Listen: d.Config.Server.Listen, HeaderTimeout: d.Config.Server.HeaderTimeout, IdleTimeout: d.Config.Server.IdleTimeout,
		MaxConnections: d.Config.Server.MaxConnections, Log: d.Log, Traces: d.Traces, Admit: s.admit, Serve: s.serve,
	})
	s.Traffic = s.door.Metrics
	s.table.Store(&table{})
	d.Functions.OnChange(s.rebuild)
	return s
}

// SetLive adds the live plane; call it before Start.
func (s *Server) SetLive(l Live) { s.live = l }

// Start builds the routes and listens: HR9003 for a route that cannot be served, HR9004 if it cannot listen. It does not wait for
// requests.
func (s *Server) Start(context.Context) (err error) {
	if s.key, err = loadKey(s.Engine.Data()); err != nil {
		return err
	}
	if err := s.Configure(s.Config); err != nil {
		return err
	}
	return s.door.Start()
}

// Configure serves the routes of another configuration; its other keys are not looked at. Requests that are under way keep the route they
// began with. With an error, HR9003, nothing changes.
func (s *Server) Configure(c *config.Config) error {
	s.building.Lock()
	defer s.building.Unlock()
	before := s.declared
	s.declared = c
	err := s.openFolders()
	if err == nil {
		t, problems := s.build()
		if len(problems) == 0 {
			s.table.Store(t)
			s.Health.Clear(badRoute, "")
			return nil
		}
		err = problems[0]
	}
	s.declared = before
	return err
}

// openFolders opens the folders of static routes. Those of former routes stay open until Stop, since answers may be read from them.
func (s *Server) openFolders() error {
	for i, r := range s.declared.Routes {
		if r.Static == "" || s.folders[r.Static] != nil {
			continue
		}
		root, err := os.OpenRoot(r.Static)
		if err != nil {
			return problem.New("HR9003", "folder of a static route: %w", err).At(s.place(i)).Hinting("make the folder, or correct routes[%d].static", i)
		}
		s.folders[r.Static] = newFolder(root)
	}
	return nil
}

// Addr is the address it listens on.
func (s *Server) Addr() net.Addr { return s.door.Addr() }

// Stop ends streams, lets other requests finish, and cuts what is left when ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	err := s.door.Stop(ctx)
	for _, f := range s.folders {
		_ = f.root.Close()
	}
	return err
}

// rebuild follows a change of the functions. A route that cannot be served is left out and told; requests that are under way keep the
// table they began with.
func (s *Server) rebuild() {
	s.building.Lock()
	defer s.building.Unlock()
	t, problems := s.build()
	s.table.Store(t)
	if len(problems) == 0 {
		s.Health.Clear(badRoute, "")
		return
	}
	for _, p := range problems {
		s.Log.Error("route is not served", observe.Error(p))
	}
	s.Health.Raise(badRoute, "", "%s", problems[0].What)
}

// admit finds the route and asks it, before the body is there.
func (s *Server) admit(r *exchange.Request) error {
	found, allow, err := s.table.Load().routes.Find(r.Method(), r.Path(), &r.Params)
	if err != nil {
		if allow != "" {
			r.Response.Header.Set("Allow", allow)
		}
		return err
	}
	r.Route = found
	return found.admit(r)
}

func (s *Server) serve(r *exchange.Request) error { return r.Route.(*route).serve(r) }
