package config

import (
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

func (c *Config) validateUpstreams() error {
	for _, name := range slices.Sorted(maps.Keys(c.Upstreams)) {
		u, at := c.Upstreams[name], "upstreams."+name
		if (u.Run == "") == (len(u.Targets) == 0) {
			return c.invalid(at, "it has no targets and no run, or both").Hinting("give it a list of targets, or a command to run")
		}
		weight := 0
		for i, t := range u.Targets {
			if err := c.validateTarget(fmt.Sprintf("%s.targets[%d]", at, i), t.URL); err != nil {
				return err
			}
			weight += t.Weight
		}
		if u.Run == "" && weight == 0 {
			return c.invalid(at+".targets", "all weights are 0").Hinting("give one of the targets a weight")
		}
		if socket, port := u.names("{socket}"), u.names("{port}"); socket && port {
			return c.invalid(at+".run", "it names both {socket} and {port}").
				Hinting("write {socket} where the service takes a Unix socket, or {port} where it takes a port of 127.0.0.1")
		}
		kind, by, _ := strings.Cut(u.HashBy, ":")
		switch hashed := u.Balance == "hash"; {
		case hashed && u.HashBy == "":
			return c.invalid(at+".balance", "hash needs hash_by").Hinting("set hash_by to address, header:NAME or cookie:NAME")
		case !hashed && u.HashBy != "":
			return c.invalid(at+".hash_by", "it is for balance: hash alone").Hinting("set both, or neither")
		}
		if u.HashBy != "" && u.HashBy != "address" && (kind != "header" && kind != "cookie" || by == "") {
			return c.invalid(at+".hash_by", "%q is nothing to hash", u.HashBy).Hinting("write address, header:NAME or cookie:NAME")
		}
		for i, on := range u.Retry.On {
			status, err := strconv.Atoi(on)
			if !slices.Contains([]string{"connect", "reset", "timeout"}, on) && (err != nil || status < 400 || status > 599) {
				return c.invalid(fmt.Sprintf("%s.retry.on[%d]", at, i), "%q is nothing to try again after", on).
					Hinting("write connect, reset, timeout or a status from 400 to 599")
			}
		}
		if u.Health.Path != "" && u.Health.Path[0] != '/' {
			return c.invalid(at+".health.path", "%q is not a path", u.Health.Path).Hinting("begin with /")
		}
		if (u.TLS.Certificate == "") != (u.TLS.Key == "") {
			return c.invalid(at+".tls", "certificate and key belong together").Hinting("set both, or neither")
		}
	}
	return nil
}

// names tells whether a placeholder stands in the command or its environment.
func (u *Upstream) names(placeholder string) bool {
	if strings.Contains(u.Run, placeholder) {
		return true
	}
	for _, value := range u.Env {
		if strings.Contains(value, placeholder) {
			return true
		}
	}
	return false
}

// validateTarget checks the address of a target.
func (c *Config) validateTarget(at, address string) error {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		if !filepath.IsAbs(path) {
			return c.invalid(at, "%q is not an absolute path", path).Hinting("write unix:/run/service.sock")
		}
		return nil
	}
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Path != "" && u.Path != "/" {
		return c.invalid(at, "%q is not the address of a target", address).Hinting("write http://host:port or https://host without a path, or unix:/run/service.sock")
	}
	return nil
}

// validateUpstreamName checks what a route passes requests to.
func (c *Config) validateUpstreamName(at, name string) error {
	if c.Upstreams[name] != nil {
		return nil
	}
	if strings.Contains(name, ":") {
		return c.validateTarget(at, name)
	}
	e := c.invalid(at, "there is no upstream %q", name)
	if near := Nearest(name, slices.Sorted(maps.Keys(c.Upstreams))); near != "" {
		return e.Hinting("write %s", near)
	}
	return e.Hinting("add it below upstreams, or write an address such as http://127.0.0.1:9000")
}
