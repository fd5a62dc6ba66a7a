// Package edge is the public listener. It answers what routes expose and nothing else: routes that functions declare, routes of the
// configuration, and the pages that follow a job, which need the token of the answer that accepted it.
package edge

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/edge/access"
	doors "github.com/headrace/headrace/internal/edge/door"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Deps are the parts that routes lead to. All but Traces, Gateway, Access and Opening are required.
type Deps struct {
	Config    *config.Config
	Engine    *engine.Engine
	Functions *functions.Registry
	Jobs      *jobs.Jobs
	Health    *observe.Health
	Traces    *observe.Traces
	Log       *slog.Logger
	Gateway   Gateway       // nil serves functions and files alone
	Sockets   doors.Sockets // of a process before this one; nil opens new ones
	Access    io.Writer     // takes the access log unless it has a file; nil drops it

	Opening func(context.Context) error // is called by Start when the routes are in force, before it listens; nil for nothing
}

// Live answers the requests of live connections: those below the prefix that it has now.
type Live interface {
	Prefix() string
	Policies() []string // names of those around its requests
	Serve(*exchange.Request) error
}

// Server is the public listener.
type Server struct {
	Deps
	// Traffic are the listener's figures, a prometheus.Collector.
	Traffic *exchange.Metrics

	door    *doors.Doors
	live    Live // nil if it is off
	planes  *exchange.Planes
	table   atomic.Pointer[table]
	key     followKey
	folders map[string]*folder // of static routes, by path

	access    *access.Log
	unmatched *traffic // of requests that no route has

	building   sync.Mutex          // held while the table is built; it guards what follows
	declared   *config.Config      // whose routes are served
	plan       Plan                // of the gateway for declared; nil before Start
	traffics   map[string]*traffic // by title
	accessFile *os.File            // of the access log; nil without one
}

var badRoute = &observe.Condition{Code: "edge-bad-route", Severity: observe.Warning, Title: "a route is not served"}

// New makes the server; Start lets it listen. It follows the changes of the registry, so it must be made before functions change at the
// same time.
func New(d Deps) *Server {
	s := &Server{Deps: d, folders: map[string]*folder{}, declared: d.Config, traffics: map[string]*traffic{}, unmatched: newTraffic("none")}
	if s.Access == nil {
		s.Access = io.Discard
	}
	s.access = access.New(s.Access, d.Log)
	trusted, _ := config.ParsePrefixes(d.Config.Server.TrustedProxies) // the configuration is checked
	s.planes = &exchange.Planes{Jobs: d.Jobs, Functions: d.Functions, Engine: d.Engine, Config: d.Config, Public: true}
	s.door = doors.New(doors.Options{Config: d.Config, Engine: d.Engine, Health: d.Health, Log: d.Log, Sockets: d.Sockets, Exchange: exchange.Options{
		Plane: "edge", Log: d.Log, Traces: d.Traces, Admit: s.admit, Serve: s.serve, Finish: s.finish, Broken: s.broken, Rest: true, Trusted: trusted,
	}})
	s.Traffic = s.door.Server.Metrics
	s.table.Store(&table{})
	d.Functions.OnChange(s.rebuild)
	return s
}

// SetLive adds the live plane; call it before Start.
func (s *Server) SetLive(l Live) { s.live = l }

// Start builds the routes and listens: HR9003 for a route that cannot be served, HR9004 if it cannot listen. It does not wait for
// requests.
func (s *Server) Start(ctx context.Context) (err error) {
	if s.key, err = loadKey(s.Engine.Data()); err != nil {
		return err
	}
	if err := s.Configure(s.Config); err != nil {
		return err
	}
	if s.Opening != nil {
		if err := s.Opening(ctx); err != nil {
			return err
		}
	}
	return s.door.Start(ctx)
}

// Collectors are the figures of routes, and of the access log.
func (s *Server) Collectors() []prometheus.Collector {
	return []prometheus.Collector{s.Traffic, routesTraffic{s}, s.access.Dropped}
}

// Configure serves the routes of another configuration; of its other keys policies, upstreams, log.access and the certificates of server.tls
// are looked at. Requests that are under way keep the route they began with. With an error, HR9003 or HR4032, nothing changes.
func (s *Server) Configure(c *config.Config) error {
	s.building.Lock()
	defer s.building.Unlock()
	if err := s.openFolders(c); err != nil {
		return err
	}
	var plan Plan
	if s.Gateway != nil {
		var err error
		if plan, err = s.Gateway.Prepare(context.Background(), c); err != nil {
			return err
		}
	}
	t, problems := s.build(c, plan)
	if len(problems) > 0 {
		if plan != nil {
			plan.Discard()
		}
		return problems[0]
	}
	useCertificates, err := s.door.Prepare(c)
	if err == nil {
		err = s.openAccess(c)
	}
	if err != nil {
		if plan != nil {
			plan.Discard()
		}
		return err
	}
	useCertificates()
	s.declared, s.plan = c, plan
	if plan != nil {
		plan.Commit() // before any request asks them: until then upstreams that run processes have none
	}
	s.table.Store(t)
	s.Health.Clear(badRoute, "")
	return nil
}

// openAccess opens the file of the access log again, so that one that was moved away is let go of.
func (s *Server) openAccess(c *config.Config) error {
	var file *os.File
	out := s.Access
	if name := c.Log.AccessFile; name != "" {
		var err error
		if file, err = os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640); err != nil {
			return problem.New("HR9003", "access log: %w", err).At("log.access_file").Hinting("name a file that can be written")
		}
		out = file
	}
	s.access.SetOutput(out)
	if s.accessFile != nil {
		_ = s.accessFile.Close()
	}
	s.accessFile = file
	return nil
}

// openFolders opens the folders of static routes. Those of former routes stay open until Stop, since answers may be read from them.
func (s *Server) openFolders(c *config.Config) error {
	for i, r := range c.Routes {
		if r.Static == "" {
			continue
		}
		if s.folders[r.Static] == nil {
			root, err := os.OpenRoot(r.Static)
			if err != nil {
				return problem.New("HR9003", "folder of a static route: %w", err).At(c.Where(fmt.Sprintf("routes[%d].static", i))).Hinting("make the folder, or correct routes[%d].static", i)
			}
			s.folders[r.Static] = newFolder(root)
		}
		if r.Fallback == "" {
			continue
		}
		if info, err := s.folders[r.Static].root.Stat(r.Fallback); err != nil || !info.Mode().IsRegular() {
			return problem.New("HR9003", "the folder of a static route has no file %s", r.Fallback).At(c.Where(fmt.Sprintf("routes[%d].fallback", i))).
				Hinting("make the file, or correct routes[%d].fallback", i)
		}
	}
	return nil
}

// Addr is the address it listens on.
func (s *Server) Addr() net.Addr { return s.door.Addr() }

// SecureAddr is the address it listens on with TLS; nil without.
func (s *Server) SecureAddr() net.Addr { return s.door.SecureAddr() }

// Drain takes no more connections, and lets requests and their streams finish until ctx ends. Stop is still needed.
func (s *Server) Drain(ctx context.Context) { s.door.Drain(ctx) }

// Stop ends streams, lets other requests finish, and cuts what is left when ctx ends.
func (s *Server) Stop(ctx context.Context) error {
	err := s.door.Stop(ctx)
	for _, f := range s.folders {
		_ = f.root.Close()
	}
	s.access.Close()
	return err
}

// rebuild follows a change of the functions. A route that cannot be served is left out and told; requests that are under way keep the
// table they began with.
func (s *Server) rebuild() {
	s.building.Lock()
	defer s.building.Unlock()
	t, problems := s.build(s.declared, s.plan)
	s.table.Store(t)
	if len(problems) == 0 {
		s.Health.Clear(badRoute, "")
		return
	}
	for _, p := range problems {
		p.Where, _, _ = strings.Cut(p.Where, "\n") // without the line itself, which may hold a secret
		s.Log.Error("route is not served", observe.Error(p))
	}
	s.Health.Raise(badRoute, "", "%s", problems[0].What)
}
