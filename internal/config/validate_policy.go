package config

import (
	"fmt"
	"maps"
	"slices"
)

func (c *Config) validatePolicies() error {
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		if err := c.validatePolicy("policies."+name, c.Policies[name]); err != nil {
			return err
		}
	}
	return c.validatePrefixes("server.trusted_proxies", c.Server.TrustedProxies)
}

// validatePolicy checks what stands around the action of a route.
func (c *Config) validatePolicy(at string, p *Policy) error {
	on, _ := p.Sections()
	for i, name := range p.Off {
		if slices.Contains(on, name) {
			return c.invalid(fmt.Sprintf("%s.off[%d]", at, i), "%s is there and off", name).Hinting("remove one of the two")
		}
	}
	if err := c.validatePrefixes(at+".allow", p.Allow); err != nil {
		return err
	}
	if err := c.validatePrefixes(at+".deny", p.Deny); err != nil {
		return err
	}
	if err := c.validateAuth(at+".auth", p.Auth); err != nil {
		return err
	}
	if p.OpenAPI != nil {
		if err := c.validateOpenAPI(at+".openapi", p.OpenAPI); err != nil {
			return err
		}
	}
	if p.Compress != nil {
		if err := c.validateCompress(at+".compress", p.Compress); err != nil {
			return err
		}
	}
	if err := c.validateLimits(at, p.Limits); err != nil {
		return err
	}
	if err := c.validateCache(at+".cache", p.Cache); err != nil {
		return err
	}
	return c.validateProtect(at, p)
}

func (c *Config) validatePrefixes(at string, list []string) error {
	for i, text := range list {
		if _, err := parsePrefix(text); err != nil {
			return c.invalid(fmt.Sprintf("%s[%d]", at, i), "%q is not a range of addresses", text).Hinting("write 10.0.0.0/8, 2001:db8::/32 or a single address")
		}
	}
	return nil
}
