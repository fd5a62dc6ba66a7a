// Package auth tells who asks: a policy before a route that looks for tokens, keys, passwords, sessions and certificates, or asks another service or
// a function, and refuses requests that show nothing, or nothing right.
package auth

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/gateway/balance"
	"github.com/headrace/headrace/internal/gateway/keys"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Deps is what the ways need. Registry and Log are required, the others where their way is configured.
type Deps struct {
	Route    string      // name of the route, which keys may be limited to, and which functions may be given
	Registry *Registry   // what outlives a reload
	Keys     *keys.Store // of the way key
	// Call runs a function for the way function and returns its result, JSON; args are an object.
	Call func(ctx context.Context, name string, args []byte) ([]byte, error)
	// Find returns an upstream for the way forward, nil if there is none of the name.
	Find func(name string) *balance.Upstream
	// Health learns of key sets that cannot be read; nil for a policy that is only checked.
	Health *observe.Health
	Log    *slog.Logger
}

// New makes the policy. An error is a problem of the configuration, or of a file that it names.
func New(c *config.Auth, d Deps) (exchange.Policy, error) {
	p := &policy{optional: c.Optional, realm: c.Realm, headers: newHeaders(c), count: func(way, decision string) prometheus.Counter {
		return d.Registry.decisions.WithLabelValues(d.Route, way, decision)
	}}
	p.nobody = p.named("none", nil)
	for _, make := range []func(*config.Auth, Deps, *policy) error{addJWT, addKey, addBasic, addOIDC, addMTLS, addForward, addFunction} {
		if err := make(c, d, p); err != nil {
			return exchange.Policy{}, err
		}
	}
	return exchange.Policy{Admit: p.admit, Finish: p.finish}, nil
}

// policy asks its ways in turn.
type policy struct {
	ways       []named
	nobody     named // what nothing was found in
	count      func(way, decision string) prometheus.Counter
	challenges []string // of a request that shows nothing
	optional   bool
	begin      func(*exchange.Request) error // answers a request that shows nothing; nil refuses it
	finish     func(*exchange.Request)       // nil does nothing
	realm      string
	headers    *headers
}

// way finds out who asks. A nil grant without an error is a request that has nothing for it to look at. The error is a problem, a *refusal, or
// exchange.Answered.
type way func(*exchange.Request) (*grant, error)

// grant is somebody who may pass, and the headers that tell the upstream of it.
type grant struct {
	identity *identity.Identity
	headers  []header
}

// refusal is a problem with what a client is told beside it.
type refusal struct {
	problem   *problem.Error
	challenge string        // WWW-Authenticate, without realm; "" is that of the policy
	wait      time.Duration // until it is worth asking again; 0 is not known
}

// Error implements error.
func (r *refusal) Error() string { return r.problem.Error() }

// Unwrap gives the problem.
func (r *refusal) Unwrap() error { return r.problem }

// named is a way and what it has decided.
type named struct {
	ask                       way
	passed, refused, answered prometheus.Counter
}

func (p *policy) named(name string, w way) named {
	return named{w, p.count(name, "passed"), p.count(name, "refused"), p.count(name, "answered")}
}

func (p *policy) add(name string, w way, challenge string) {
	p.ways = append(p.ways, p.named(name, w))
	if challenge != "" {
		p.challenges = append(p.challenges, challenge)
	}
}

// admit is the policy's hook.
func (p *policy) admit(r *exchange.Request) error {
	p.headers.strip(r)
	for i := range p.ways {
		w := &p.ways[i]
		g, err := w.ask(r)
		if err != nil {
			return p.refuse(r, w, err)
		}
		if g != nil {
			w.passed.Inc()
			r.Identity = g.identity
			for i := range g.headers {
				g.headers[i].set(r)
			}
			return nil
		}
	}
	switch {
	case p.optional:
		p.nobody.passed.Inc()
		return nil
	case p.begin != nil:
		return p.refuse(r, &p.nobody, p.begin(r))
	}
	return p.refuse(r, &p.nobody, problem.New("HR4040", "the request shows nothing that tells who asks"))
}

// refuse answers with a problem, and tells how to show who asks.
func (p *policy) refuse(r *exchange.Request, w *named, err error) error {
	if errors.Is(err, exchange.Answered) {
		w.answered.Inc()
		return err
	}
	w.refused.Inc()
	var about *refusal
	if !errors.As(err, &about) {
		about = &refusal{problem: problem.From(err)}
	}
	r.Problem(about.problem)
	if about.wait > 0 {
		r.Response.Header.Set("Retry-After", strconv.FormatInt(int64((about.wait+time.Second-1)/time.Second), 10))
	}
	status := about.problem.Status()
	if status == 401 {
		r.Response.Header.Del("WWW-Authenticate")
	}
	switch {
	case about.challenge != "":
		r.Response.Header.Set("WWW-Authenticate", p.challenge(about.challenge))
	case status == 401:
		for _, c := range p.challenges {
			r.Response.Header.Add("WWW-Authenticate", p.challenge(c))
		}
	}
	return exchange.Answered
}

// challenge puts the realm into a challenge, behind its scheme.
func (p *policy) challenge(text string) string {
	scheme, rest, more := strings.Cut(text, " ")
	text = scheme + ` realm="` + p.realm + `"`
	if more {
		text += ", " + rest
	}
	return text
}
