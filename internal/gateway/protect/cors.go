package protect

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
)

// answers to pages of other hosts.
const (
	allowOrigin      = "Access-Control-Allow-Origin"
	allowCredentials = "Access-Control-Allow-Credentials"
	allowMethods     = "Access-Control-Allow-Methods"
	allowHeaders     = "Access-Control-Allow-Headers"
	exposeHeaders    = "Access-Control-Expose-Headers"
	maxAge           = "Access-Control-Max-Age"
)

// cors lets pages of other hosts read answers.
type cors struct {
	config  *config.CORS
	origins *origins
	methods string
	headers string // "" are those that are asked for
	expose  string
	age     string
}

// CORS makes the policy, and the handler that answers preflights, which the table calls for OPTIONS with Access-Control-Request-Method on a path that
// has a route with this policy. Methods are those of the route, which c.Methods replaces; config.Any or none are all common ones. Headers of this kind
// that an upstream answers with are replaced.
func CORS(c *config.CORS, methods []string) (exchange.Policy, exchange.Handler, error) {
	if len(c.Methods) > 0 {
		methods = c.Methods
	}
	if len(methods) == 0 || slices.Contains(methods, config.Any) {
		methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}
	}
	p := &cors{config: c, origins: newOrigins(c.Origins), methods: strings.Join(methods, ", "), headers: strings.Join(c.Headers, ", "), expose: strings.Join(c.Expose, ", ")}
	if c.MaxAge > 0 {
		p.age = strconv.FormatInt(int64(c.MaxAge/time.Second), 10)
	}
	return exchange.Policy{Finish: p.finish}, p.preflight, nil
}

// allow says which pages may read the answer, and tells whether the one that asks is among them. What caches keep depends on the origin in any case: without
// Vary, an answer to one page, or to none, would be given to another.
func (p *cors) allow(r *exchange.Request) bool {
	h := &r.Response.Header
	vary(h, "Origin")
	origin := r.Request.Header.Peek("Origin")
	if len(origin) == 0 {
		return false
	}
	switch {
	case p.origins.any:
		h.Set(allowOrigin, "*")
	case p.origins.match(string(origin)):
		h.SetBytesV(allowOrigin, origin)
	default:
		return false
	}
	if p.config.Credentials {
		h.Set(allowCredentials, "true")
	}
	return true
}

// finish is the policy's hook for all answers, refusals included, so that a page can read why.
func (p *cors) finish(r *exchange.Request) {
	h := &r.Response.Header
	h.Del(allowOrigin)
	h.Del(allowCredentials)
	h.Del(exposeHeaders)
	if p.allow(r) && p.expose != "" {
		h.Set(exposeHeaders, p.expose)
	}
}

// preflight answers with 204. A page that may not ask is told nothing, which its browser takes for a no.
func (p *cors) preflight(r *exchange.Request) error {
	h := &r.Response.Header
	r.SetStatusCode(fasthttp.StatusNoContent)
	vary(h, "Access-Control-Request-Method")
	vary(h, "Access-Control-Request-Headers")
	if !p.allow(r) {
		return nil
	}
	h.Set(allowMethods, p.methods)
	if asked := r.Request.Header.Peek("Access-Control-Request-Headers"); p.headers != "" {
		h.Set(allowHeaders, p.headers)
	} else if len(asked) > 0 && names(asked) {
		h.SetBytesV(allowHeaders, asked)
	}
	if p.age != "" {
		h.Set(maxAge, p.age)
	}
	return nil
}

// names tells whether a text is a list of names of headers, so that nothing else is sent back.
func names(text []byte) bool {
	for _, c := range text {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !bytes.ContainsRune([]byte("!#$%&'*+-.^_`|~, "), rune(c)) {
			return false
		}
	}
	return true
}

// vary adds a name to Vary unless it is there.
func vary(h *fasthttp.ResponseHeader, name string) {
	for _, line := range h.PeekAll("Vary") {
		for part := range bytes.SplitSeq(line, []byte(",")) {
			if part = bytes.TrimSpace(part); bytes.EqualFold(part, []byte(name)) || string(part) == "*" {
				return
			}
		}
	}
	h.Add("Vary", name)
}
