// Package control is the admin API: jobs, calls, blobs, queues, pools, health and metrics, as spec/openapi has them.
package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/url"
	"os"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttpadaptor"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/control/serverapi"
	"github.com/headrace/headrace/internal/edge"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/gateway/cache"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// Deps are the parts that the API shows and steers. All but Live, Upstreams and Traces are required.
type Deps struct {
	Config    *config.Config
	Engine    *engine.Engine
	Functions *functions.Registry
	Jobs      *jobs.Jobs
	Pools     func() []*workers.Pool
	Keys      *keys.Store
	Cache     *cache.Store
	Live      *live.Live // nil while the live plane is off
	Edge      *edge.Server
	Upstreams Upstreams // the zero value tells of none
	Metrics   prometheus.Gatherer
	Health    *observe.Health
	Traces    *observe.Traces
	Log       *slog.Logger
	// Reload reads the configuration again; it returns the keys that changed, those in force and those that take a restart. Nil cannot.
	Reload func(context.Context) (taken, kept []string, err error)
	Socket func(network, address string) (net.Listener, error) // makes the listening socket; nil is net.Listen
}

// Server is the admin listener.
type Server struct {
	Deps
	// Traffic are the listener's figures, a prometheus.Collector.
	Traffic *exchange.Metrics

	door    *exchange.Server
	planes  *exchange.Planes
	api     *serverapi.API
	routes  exchange.Routes[*endpoint]
	metrics fasthttp.RequestHandler
	token   [sha256.Size]byte
	locked  bool       // a token is needed
	restart sync.Mutex // held while a pool is restarted
	depth   int
}

// endpoint answers one method of one path.
type endpoint struct {
	admit func(*exchange.Request) error // before the body is there; nil admits all
	serve func(*exchange.Request) error
	open  bool // without a token
}

// New makes the server; Start lets it listen.
func New(d Deps) *Server {
	s := &Server{Deps: d, depth: d.Config.Server.JSONDepth}
	s.planes = &exchange.Planes{Jobs: d.Jobs, Functions: d.Functions, Engine: d.Engine, Config: d.Config}
	s.api = s.newAPI()
	s.metrics = fasthttpadaptor.NewFastHTTPHandler(promhttp.HandlerFor(d.Metrics, promhttp.HandlerOpts{EnableOpenMetrics: true}))
	s.door = exchange.NewServer(exchange.Options{
		Plane: "control", Listen: d.Config.Admin.Listen, Socket: d.Socket, HeaderTimeout: d.Config.Server.HeaderTimeout, IdleTimeout: d.Config.Server.IdleTimeout,
		Log: d.Log, Traces: d.Traces, Admit: s.admit, Serve: func(r *exchange.Request) error { return r.Route.(*endpoint).serve(r) },
	})
	s.Traffic = s.door.Metrics
	s.addRoutes()
	return s
}

// Start reads the token and listens: HR9004 if it cannot, HR9005 if the token cannot be read. It does not wait for requests.
func (s *Server) Start(context.Context) error {
	if path := s.Config.Admin.TokenFile; path != "" {
		text, err := os.ReadFile(path)
		if err == nil && len(bytes.TrimSpace(text)) == 0 {
			err = errors.New("the file is empty")
		}
		if err != nil {
			return problem.New("HR9005", "admin token: %w", err).At("admin.token_file").Hinting("put a long random text in the file")
		}
		s.token, s.locked = sha256.Sum256(bytes.TrimSpace(text)), true
	}
	return s.door.Start()
}

// Addr is the address it listens on.
func (s *Server) Addr() net.Addr { return s.door.Addr() }

// Stop ends streams, lets other requests finish, and cuts what is left when ctx ends.
func (s *Server) Stop(ctx context.Context) error { return s.door.Stop(ctx) }

// admit finds the endpoint, checks the token, and asks the endpoint.
func (s *Server) admit(r *exchange.Request) error {
	e, allow, err := s.routes.Find(r.Method(), r.Path(), &r.Params, nil)
	if err != nil {
		if allow != "" {
			r.Response.Header.Set("Allow", allow)
			return problem.New("HR7003", "%s", problem.From(err).What).Hinting("use %s", allow)
		}
		return problem.New("HR7002", "no resource %.200s", r.Path())
	}
	if !e.open {
		if err := s.authorize(r); err != nil {
			return err
		}
	}
	r.Route = e
	if e.admit == nil {
		return needsNone(r)
	}
	return e.admit(r)
}

// needsNone refuses more of a body than is read ahead in vain.
func needsNone(r *exchange.Request) error {
	err := r.Fits(prefetchOnly)
	if p := problem.From(err); p != nil && p.Code == "HR1003" {
		return p.Hinting("this request needs no body")
	}
	return err
}

// prefetchOnly is the largest body of a request that needs none.
const prefetchOnly = 64 << 10

// authorize compares hashes, so that the time it takes tells nothing of the token. Without a token, a page of another site could make a
// browser on this machine send requests; those carry its origin.
func (s *Server) authorize(r *exchange.Request) error {
	if s.locked {
		given, ok := token(r)
		sum := sha256.Sum256(given)
		if !ok || subtle.ConstantTimeCompare(sum[:], s.token[:]) != 1 {
			return problem.New("HR7001", "the admin API needs its token")
		}
		return nil
	}
	if origin := r.Request.Header.Peek("Origin"); len(origin) > 0 {
		u, err := url.Parse(string(origin))
		if err != nil || !loopback(u.Hostname()) {
			return problem.New("HR7005", "the page that sent this is from %.100s", origin)
		}
	}
	return nil
}

// token is what the request brings: as headrace's own clients send it, or as those of Centrifugo's server API do.
func token(r *exchange.Request) ([]byte, bool) {
	if key := r.Request.Header.Peek("X-API-Key"); len(key) > 0 {
		return key, true
	}
	scheme, given, ok := bytes.Cut(r.Request.Header.Peek("Authorization"), []byte(" "))
	return given, ok && (string(scheme) == "Bearer" || bytes.EqualFold(scheme, []byte("apikey")))
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
