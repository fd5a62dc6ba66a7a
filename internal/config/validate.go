package config

import (
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

// validate checks what one key alone cannot tell; the bounds of single keys are checked where they are read.
func (c *Config) validate() error {
	checks := []func() error{c.validateEngine, c.validateDoors, c.validatePools, c.validateQueues, c.validateUpstreams, c.validatePolicies, c.validateRoutes, c.validateLive, c.validateTrace}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) invalid(path, format string, args ...any) *problem.Error {
	return invalid(c.places[path], path, format, args...)
}

func (c *Config) validateEngine() error {
	for address := range strings.SplitSeq(c.Engine.URL, ",") {
		if c.Engine.URL == "" {
			break
		}
		u, err := url.Parse(strings.TrimSpace(address))
		if err != nil || u.Host == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return c.invalid("engine.url", "it is not the address of a NATS server").Hinting("write nats://host:4222")
		}
	}
	if c.Engine.URL == "" && c.Engine.Replicas > 1 {
		return c.invalid("engine.replicas", "the embedded engine keeps one copy").Hinting("set engine.url to a NATS cluster, or engine.replicas to 1")
	}
	if c.Engine.Data == "" {
		return c.invalid("engine.data", "it is empty").Hinting("name a folder")
	}
	return nil
}

func (c *Config) validateDoors() error {
	if !loopback(c.Admin.Listen) && c.Admin.TokenFile == "" {
		return problem.New("HR9005", "admin.listen %s can be reached from other machines and has no token", c.Admin.Listen).
			At(c.places["admin.listen"].caret())
	}
	if c.Server.MaxJSON > c.Server.MaxBody {
		return c.invalid("server.max_json", "%s is more than server.max_body, %s", c.Server.MaxJSON, c.Server.MaxBody).
			Hinting("lower server.max_json, or raise server.max_body")
	}
	if err := c.validateTLS("server.tls", c.Server.TLS); err != nil {
		return err
	}
	if err := c.validatePrefixes("server.proxy_protocol", c.Server.ProxyProtocol); err != nil {
		return err
	}
	if path := c.Server.OpenAPI; path != "" && (path[0] != '/' || path == "/" || strings.ContainsAny(path, "{}*?#% ")) {
		return c.invalid("server.openapi", "%q is not a path", path).Hinting("write /openapi.json")
	}
	taken := map[string]string{}
	for _, door := range []struct{ path, address string }{
		{"server.listen", c.Server.Listen}, {"server.tls.listen", c.Server.secure()}, {"admin.listen", c.Admin.Listen}, {"workers.listen", c.Workers.Listen},
	} {
		if door.address == "" || strings.HasSuffix(door.address, ":0") {
			continue
		}
		if other, ok := taken[door.address]; ok {
			if !c.isSet(door.path) {
				door.path, other = other, door.path
			}
			return c.invalid(door.path, "%s is the address of %s too", door.address, other).Hinting("choose another port")
		}
		taken[door.address] = door.path
	}
	return nil
}

func loopback(address string) bool {
	host, _, _ := net.SplitHostPort(address)
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (c *Config) validatePools() error {
	for _, name := range slices.Sorted(maps.Keys(c.Pools)) {
		p := c.Pools[name]
		at := "pools." + name
		if p.App == "" && !p.Remote {
			return c.invalid(at, "it has no app").Hinting("set %s.app to a Python file", at)
		}
		if p.Max > 0 && p.Min > p.Max {
			return c.invalid(at+".min", "%d is more than max, %d", p.Min, p.Max).Hinting("lower min, or raise max")
		}
		if p.MaxMemory > 0 && p.RecycleMemory > p.MaxMemory {
			return c.invalid(at+".recycle_memory", "%s is more than max_memory, %s", p.RecycleMemory, p.MaxMemory).
				Hinting("lower recycle_memory, so that it is reached first")
		}
		for variable := range p.Env {
			if variable == "" || strings.ContainsAny(variable, "=\x00") || strings.Contains(p.Env[variable], "\x00") {
				return c.invalid(at+".env", "%q is not the name of an environment variable", variable).
					Hinting("write letters, digits and _")
			}
		}
	}
	return nil
}

func (c *Config) validateQueues() error {
	for _, name := range slices.Sorted(maps.Keys(c.Queues)) {
		q := c.Queues[name]
		if q.Backoff > q.BackoffMax {
			return c.invalid("queues."+name+".backoff", "%s is more than backoff_max, %s", FormatDuration(q.Backoff), FormatDuration(q.BackoffMax)).
				Hinting("lower backoff, or raise backoff_max")
		}
	}
	return nil
}

func (c *Config) validateTrace() error {
	if c.Trace.OTLP == "" {
		return nil
	}
	if u, err := url.Parse(c.Trace.OTLP); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return c.invalid("trace.otlp", "it is not the address of a collector").Hinting("write http://host:4318")
	}
	return nil
}
