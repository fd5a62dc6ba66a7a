package config

import (
	"reflect"
	"slices"
	"strings"
)

// DefaultPolicy is the name of the entry of Policies that holds for every route, those of functions included.
const DefaultPolicy = "defaults"

// Policy is what stands around the action of a route. What is absent costs nothing.
type Policy struct {
	// Addresses that may ask, as in 10.0.0.0/8; empty is all.
	Allow []string `yaml:"allow"`
	// Addresses that may not ask; it is looked at before allow.
	Deny []string `yaml:"deny"`
	// Who may ask, and how it is known; absent is anybody.
	Auth *Auth `yaml:"auth"`
	// Pages of other hosts that may ask.
	CORS *CORS `yaml:"cors"`
	// Refuse requests with cookies that change something and come from pages of other hosts.
	CSRF *CSRF `yaml:"csrf"`
	// Rates of requests.
	Limits []Limit `yaml:"limits"`
	// Requests of the route that may be under way at a time; more are answered with 503. 0 is no limit.
	MaxConcurrent int `yaml:"max_concurrent" min:"0"`
	// Largest request body of the route; 0B is server.max_body.
	MaxBody Size `yaml:"max_body"`
	// Requests and answers are held against an OpenAPI document.
	OpenAPI *OpenAPI `yaml:"openapi"`
	// Keep answers for the next request.
	Cache *Cache `yaml:"cache"`
	// Compress answers.
	Compress *Compress `yaml:"compress"`
	// Changes of the headers and the query.
	Edit *Edit `yaml:"edit"`
	// Headers that tell browsers to be careful.
	Secure *Secure `yaml:"secure"`
	// Access log of the route; absent is log.access.
	Access *Access `yaml:"access"`
	// Sections that are absent here, whatever the entries after this one and defaults say, as in [auth]. What the route, or an entry before this
	// one, says itself stays. Without access nothing is logged; without max_body it is server.max_body.
	Off []string `yaml:"off" enum:"allow,deny,auth,cors,csrf,limits,max_concurrent,max_body,openapi,cache,compress,edit,secure,access"`

	// Without are the auths that are off here. What upstreams believe because one of them writes it, clients cannot write instead.
	Without []*Auth
}

// Over returns the policy whose keys come first from p and then from under, in this order. What is off in one of them does not come from
// those after it.
func (p Policy) Over(under ...*Policy) Policy {
	v := reflect.ValueOf(&p).Elem()
	for _, u := range under {
		w, off := reflect.ValueOf(u).Elem(), p.Off
		for _, k := range keys(v.Type()) {
			if to := v.FieldByIndex(k.index); to.IsZero() && !slices.Contains(off, k.name) {
				to.Set(w.FieldByIndex(k.index))
			}
		}
		if p.Auth == nil && u.Auth != nil {
			p.Without = append(slices.Clip(p.Without), u.Auth)
		}
		p.Off = slices.Concat(off, u.Off)
	}
	return p
}

// Sections are the names of the sections that hold, and of those that are off, by their keys and in their order.
func (p *Policy) Sections() (on, off []string) {
	for _, k := range keys(reflect.TypeFor[Policy]()) {
		switch {
		case k.name == "off":
		case !reflect.ValueOf(p).Elem().FieldByIndex(k.index).IsZero():
			on = append(on, k.name)
		case slices.Contains(p.Off, k.name):
			off = append(off, k.name)
		}
	}
	return on, off
}

// KeyOf is the path of a key that holds for a route: its own, or that of the entry of policies that has it. Own is the path of the route, as in
// routes[2]; empty for one that no file declares, which has no keys of its own.
func (c *Config) KeyOf(r *Route, own, path string) string {
	section, _, _ := strings.Cut(path, ".")
	has := func(p *Policy) bool {
		on, _ := p.Sections()
		return slices.Contains(on, section)
	}
	if !slices.ContainsFunc(keys(reflect.TypeFor[Policy]()), func(k key) bool { return k.name == section }) || has(&r.Policy) {
		return join(own, path)
	}
	for _, name := range append(r.Policies[:len(r.Policies):len(r.Policies)], DefaultPolicy) {
		if p := c.Policies[name]; p != nil && has(p) {
			return join("policies."+name, path)
		}
	}
	return own
}

func (p *Policy) defaults() { *p = Policy{} }

// PolicyOf is the policy of a route with those that it names and the default. Names that are not there are ignored; the check of the
// configuration refuses them.
func (c *Config) PolicyOf(r *Route) Policy { return r.Over(c.named(r.Policies)...) }

// PolicyNamed is the policy of a route of a function, which may name an entry.
func (c *Config) PolicyNamed(names ...string) Policy { return Policy{}.Over(c.named(names)...) }

func (c *Config) named(names []string) []*Policy {
	var list []*Policy
	for _, name := range append(names[:len(names):len(names)], DefaultPolicy) {
		if p := c.Policies[name]; p != nil {
			list = append(list, p)
		}
	}
	return list
}
