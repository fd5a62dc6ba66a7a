package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/headrace/headrace/bench/rig"
)

// contender is a proxy under test.
type contender struct {
	title string
	about string   // for the page
	lacks string   // of what the guarded scenario asks for; "" if it has all
	files []string // templates of rivals/ that are written to its folder
	argv  []string // the command; {{.Dir}} and {{.Build}} stand for folders
	noH2  bool     // has no HTTP/2
	only  []string // scenarios that it takes part in; nil is all
}

// takes is whether it takes part in a scenario.
func (c *contender) takes(scenario string) bool {
	return c.only == nil || slices.Contains(c.only, scenario)
}

const (
	own   = "headrace"
	judge = "nginx" // whose CPU time the others are compared with
	floor = "bare"  // what the machine takes of every proxy
)

// contenders are in the order of the table. headrace is the first, because its rate decides the load of the open loop.
func contenders() []*contender {
	return []*contender{
		{
			title: own, files: []string{"headrace.yaml"}, argv: []string{"{{.Headrace}}", "run", "--config", "{{.Dir}}/headrace.yaml"},
			about: "metrics on in all scenarios; guarded: JWT (HS256), limit by address, JSON access log, metrics of the route",
		},
		{
			title: judge, files: []string{"nginx.conf"}, argv: []string{"nginx", "-p", "{{.Dir}}", "-c", "{{.Dir}}/nginx.conf"},
			about: "2 workers, 256 idle connections to the upstream for each; access log in a buffer of 64 KB",
			lacks: "JWT (paid edition) and metrics of routes: only limit_req, access log and stub_status",
		},
		{
			title: "HAProxy", files: []string{"haproxy.cfg"}, argv: []string{"haproxy", "-db", "-f", "{{.Dir}}/haproxy.cfg"},
			about: "2 threads, http-reuse always; guarded: jwt_verify and expiry, stick table, JSON log to a file, Prometheus exporter",
		},
		{
			title: "ReverseProxy", argv: []string{"{{.Build}}/reverseproxy"},
			about: "Go's httputil.ReverseProxy, 1,024 idle connections, buffers pooled; guarded: golang-jwt, x/time/rate, slog, client_golang",
		},
		{
			title: "Caddy", files: []string{"Caddyfile"}, argv: []string{"caddy", "run", "--adapter", "caddyfile", "--config", "{{.Dir}}/Caddyfile"},
			about: "Debian's; 512 idle connections", lacks: "JWT and limits (modules from elsewhere): only access log and metrics",
		},
		{
			title: "Traefik", files: []string{"traefik.yaml", "traefik-routes.yaml"}, argv: []string{"{{.Build}}/traefik", "--configFile={{.Dir}}/traefik.yaml"},
			about: "512 idle connections; access log buffered", lacks: "JWT (paid edition): limit, access log and metrics",
		},
		{
			title: "Fastify", argv: []string{"node", "{{.Build}}/fastify.mjs"},
			about: "2 processes, @fastify/http-proxy with undici; guarded: @fastify/jwt, @fastify/rate-limit, logger, prom-client",
		},
		{
			title: "Express", argv: []string{"node", "{{.Build}}/express.mjs"}, noH2: true,
			about: "2 processes, http-proxy-middleware with a keep-alive agent; guarded: jsonwebtoken, express-rate-limit, pino-http, prom-client",
		},
		{
			title: floor, argv: []string{"{{.Build}}/bare"}, only: []string{"small", "latency"},
			about: "no rival: one thread that carries bytes between a client and its own connection to the upstream, and reads none of them (bench/gateway/bare)",
		},
	}
}

// missing says why a contender cannot take part; "" if it can.
func (c *contender) missing() string {
	program := fill(c.argv[0], &place{Build: buildDir, Headrace: rig.Product()})
	if _, err := exec.LookPath(program); err != nil {
		if filepath.IsAbs(program) {
			return filepath.Base(program) + " was not built; see bench/README.md"
		}
		return program + " is not installed"
	}
	if len(c.argv) > 1 && c.argv[0] == "node" {
		if _, err := os.Stat(fill(c.argv[1], &place{Build: buildDir, Headrace: rig.Product()})); err != nil {
			return "its packages were not installed"
		}
	}
	return ""
}
