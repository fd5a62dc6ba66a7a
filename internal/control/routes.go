package control

import (
	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/control/serverapi"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/spec"
)

// addRoutes is the whole API; spec/openapi describes the same.
func (s *Server) addRoutes() {
	add := func(method, pattern string, serve, admit func(*exchange.Request) error) {
		if _, err := s.routes.Add(method, pattern, &endpoint{serve: serve, admit: admit}); err != nil {
			panic("control: " + method + " " + pattern + ": " + err.Error())
		}
	}
	add("POST", "/v1/jobs/{function}", s.enqueue, s.admitEnqueue)
	add("POST", "/v1/jobs", s.enqueueMany, s.admitMany)
	add("GET", "/v1/jobs", s.listJobs, nil)
	add("POST", "/v1/jobs/retry", many("retried", s.Jobs.RetryMany), nil)
	add("POST", "/v1/jobs/cancel", many("cancelled", s.Jobs.CancelMany), nil)
	add("GET", "/v1/jobs/{id}", s.job, nil)
	add("GET", "/v1/jobs/{id}/args", s.args, nil)
	add("GET", "/v1/jobs/{id}/result", s.result, nil)
	add("GET", "/v1/jobs/{id}/attempts", s.attempts, nil)
	add("GET", "/v1/jobs/{id}/logs", s.logs, nil)
	add("GET", "/v1/jobs/{id}/events", s.events, nil)
	add("POST", "/v1/jobs/{id}/cancel", s.cancel, nil)
	add("POST", "/v1/jobs/{id}/retry", s.retry, nil)
	add("POST", "/v1/calls/{function}", s.call, s.admitCall)
	add("PUT", "/v1/blobs", s.putBlob, s.admitBlob)
	add("GET", "/v1/blobs/{digest}", s.blob, nil)
	add("GET", "/v1/queues", s.queues, nil)
	add("GET", "/v1/queues/{name}", s.queue, nil)
	add("POST", "/v1/queues/{name}/pause", s.pause, nil)
	add("POST", "/v1/queues/{name}/resume", s.resume, nil)
	add("POST", "/v1/queues/{name}/drain", s.drainQueue, nil)
	add("GET", "/v1/pools", s.pools, nil)
	add("GET", "/v1/pools/{name}", s.pool, nil)
	add("POST", "/v1/pools/{name}/restart", s.restartPool, nil)
	add("POST", "/v1/pools/{name}/drain", s.drainPool, nil)
	add("GET", "/v1/functions", s.functions, nil)
	add("GET", "/v1/functions/{name}", s.function, nil)
	add("POST", "/v1/config/reload", s.reload, nil)
	add("GET", "/v1/routes", s.listRoutes, nil)
	add("GET", "/v1/routes/test", s.testRoute, nil)
	add("GET", "/v1/routes/tail", s.tailRoutes, nil)
	add("GET", "/v1/upstreams", s.listUpstreams, nil)
	add("POST", "/v1/upstreams/{name}/replace", s.replaceUpstream, nil)
	add("GET", "/v1/cache", s.cacheStats, nil)
	add("POST", "/v1/cache/purge", s.purgeCache, s.admitJSON)
	add("POST", "/v1/keys", s.createKey, s.admitJSON)
	add("GET", "/v1/keys", s.listKeys, nil)
	add("GET", "/v1/keys/{id}", s.key, nil)
	add("DELETE", "/v1/keys/{id}", s.deleteKey, nil)
	add("GET", "/v1/live/channels", s.liveChannels, s.liveOn)
	add("GET", "/v1/live/connections", s.liveConnections, s.liveOn)
	add("GET", "/v1/live/tail", s.liveTail, s.liveOn)
	add("POST", "/v1/live/publish", s.livePublish, s.admitLive)
	add("POST", "/v1/live/disconnect", s.liveDisconnect, s.admitLive)
	for _, name := range serverapi.Commands() {
		add("POST", "/api/"+name, s.command(name), s.admitLive)
	}
	add("POST", "/api/batch", s.batch, s.admitLive)
	add("GET", "/metrics", func(r *exchange.Request) error { s.metrics(r.RequestCtx); return nil }, nil)
	add("GET", "/openapi.yaml", openapi, nil)
	add("GET", "/healthz", s.alive, nil)
	add("GET", "/readyz", s.ready, nil)
	for _, probe := range []string{"/healthz", "/readyz"} { // a probe has no token
		if e, _, err := s.routes.Find([]byte("GET"), []byte(probe), &[8][]byte{}, nil); err == nil {
			e.open = true
		}
	}
}

// Routes calls f with the method and the pattern of every route.
func (s *Server) Routes(f func(method, pattern string)) {
	s.routes.All(func(method, pattern string, _ *endpoint) { f(method, pattern) })
}

func openapi(r *exchange.Request) error {
	r.SetStatusCode(fasthttp.StatusOK)
	r.SetContentType("application/yaml")
	r.Response.SetBody(spec.OpenAPI())
	return nil
}
