package gateway

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/auth"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/compress"
	"github.com/headrace/headrace/internal/gateway/edit"
	"github.com/headrace/headrace/internal/gateway/merge"
	"github.com/headrace/headrace/internal/gateway/openapi"
	"github.com/headrace/headrace/internal/gateway/protect"
	"github.com/headrace/headrace/internal/gateway/proxy"
	"github.com/headrace/headrace/internal/gateway/reply"
	"github.com/headrace/headrace/internal/identity"
)

// Plan is the gateway of one configuration. It is either committed or discarded.
type Plan struct {
	*Gateway
	config *config.Config
	change *balance.Change
}

// Prepare makes what a configuration asks for, and changes nothing that is in force.
func (g *Gateway) Prepare(ctx context.Context, c *config.Config) (*Plan, error) {
	change, err := g.upstreams.Prepare(ctx, c)
	if err != nil {
		return nil, err
	}
	return &Plan{g, c, change}, nil
}

// Commit puts the upstreams in force.
func (p *Plan) Commit() {
	if p.dry {
		p.change.Discard()
		return
	}
	p.change.Commit()
}

// Discard lets go of what was made.
func (p *Plan) Discard() { p.change.Discard() }

// Handler makes the action of a route.
func (p *Plan) Handler(c *config.Route) (exchange.Handler, error) {
	switch {
	case c.Redirect != "":
		return reply.NewRedirect(c)
	case c.Respond != nil:
		return reply.NewRespond(c.Respond)
	case c.Merge != nil:
		return merge.New(c, merge.Deps{Find: p.change.Find, Call: p.deps.Call, Server: &p.deps.Config.Server, Metrics: p.merged, Log: p.deps.Log})
	}
	policy := p.config.PolicyOf(c)
	return proxy.New(c, policy.Edit, p.change.Find, proxy.Deps{
		Log: p.deps.Log, Metrics: p.proxied, MaxBody: int64(cmp.Or(policy.MaxBody, p.config.Server.MaxBody)), Protected: auth.Headers(&policy),
	})
}

// Policies are those around a route, the outermost first, and what answers preflights.
func (p *Plan) Policies(r *config.Route, c *config.Policy, scope string) (list []exchange.Policy, preflight exchange.Handler, err error) {
	add := func(policy exchange.Policy, failed error) {
		if err == nil {
			err = failed
		}
		list = append(list, policy)
	}
	if len(c.Allow)+len(c.Deny) > 0 {
		add(protect.Addresses(c.Allow, c.Deny))
	}
	if c.CORS != nil {
		policy, handler, failed := protect.CORS(c.CORS, r.Verbs())
		preflight = handler
		add(policy, failed)
	}
	if c.Secure != nil {
		add(protect.Secure(c.Secure), nil)
	}
	if c.Edit != nil && len(c.Edit.Response) > 0 {
		add(edit.Response(c.Edit, r.Match))
	}
	if c.Compress != nil { // beyond the cache, which keeps what the upstream gave
		add(compress.New(c.Compress, p.encoders))
	}
	if c.Auth != nil {
		add(auth.New(c.Auth, p.auth(r.Title())))
	} else if len(c.Without) > 0 {
		add(auth.Without(c.Without), nil)
	}
	if c.CSRF != nil {
		add(protect.CSRF(c.CSRF), nil)
	}
	if len(c.Limits) > 0 {
		add(p.Limits.New(scope, c.Limits))
	}
	if c.MaxConcurrent > 0 {
		add(protect.MaxConcurrent(c.MaxConcurrent), nil)
	}
	if c.MaxBody > 0 {
		add(protect.MaxBody(c.MaxBody), nil)
	}
	if c.OpenAPI != nil {
		add(openapi.New(c.OpenAPI, r.Title(), openapi.Deps{Metrics: p.checked, Log: p.deps.Log}))
	}
	if c.Cache != nil {
		add(p.Cache.New(scope, keyed(c.Cache, r.Split)))
	}
	return list, preflight, err
}

// keyed is a cache that keeps answers of the upstreams of a split apart by what chooses between them.
func keyed(c *config.Cache, split []config.Share) *config.Cache {
	if len(split) == 0 {
		return c
	}
	k := *c
	k.Headers, k.Cookies = slices.Clone(c.Headers), slices.Clone(c.Cookies)
	for _, s := range split {
		k.Headers = slices.AppendSeq(k.Headers, maps.Keys(s.Header))
		k.Cookies = slices.AppendSeq(k.Cookies, maps.Keys(s.Cookie))
		if s.Sticky != "" {
			k.Cookies = append(k.Cookies, s.Sticky)
		}
	}
	return &k
}

// Chances are the upstreams that the split of a route may choose for a request.
func (p *Plan) Chances(c *config.Route, r *exchange.Request) ([]exchange.Chance, error) {
	return proxy.Chances(c.Split, r)
}

// Check tells why proxy or split of a route do not pass a request on; nil if they do.
func (p *Plan) Check(c *config.Route, r *exchange.Request) error {
	return proxy.Check(c, p.config.PolicyOf(c).Edit, r)
}

// Publish makes the handlers of one OpenAPI document of all routes and of its page.
func (p *Plan) Publish(path string, routes []exchange.Published) (document, page exchange.Handler, pagePath string, err error) {
	text, err := openapi.Document(openapi.Info{}, routes)
	if err != nil {
		return nil, nil, "", err
	}
	document, page = openapi.Publish(path, text)
	return document, page, openapi.PagePath(path), nil
}

func (p *Plan) auth(title string) auth.Deps {
	return auth.Deps{
		Route: title, Registry: p.tokens, Keys: p.deps.Keys, Log: p.deps.Log,
		Call: func(ctx context.Context, name string, args []byte) ([]byte, error) {
			return p.deps.Call(ctx, name, args, identity.Caller{})
		},
		Find: p.change.Find, Health: p.deps.Health,
	}
}
