package auth

import (
	"crypto/sha256"
	"encoding/json"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"
	"weak"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// Registry has what policies share and what outlives a reload: verifiers with their caches and key sets, and providers. What no policy uses any
// more goes by itself.
type Registry struct {
	verifiers shared[identity.Verifier]
	clients   shared[http.Client]
	providers shared[provider]
	hashing   chan struct{} // bounds the processors that are busy with passwords, of all policies
	decisions *prometheus.CounterVec
}

// NewRegistry makes a registry; a process has one.
func NewRegistry() *Registry {
	return &Registry{hashing: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2)), decisions: newDecisions()}
}

func newDecisions() *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "headrace_gateway_auth_requests_total", Help: "Requests by the way that decided (none: nothing was shown) and what it decided: passed, refused or answered.",
	}, []string{"route", "way", "decision"})
}

// Describe implements prometheus.Collector.
func (g *Registry) Describe(ch chan<- *prometheus.Desc) { g.decisions.Describe(ch) }

// Collect implements prometheus.Collector.
func (g *Registry) Collect(ch chan<- prometheus.Metric) { g.decisions.Collect(ch) }

// shared are objects by what they were made of, as long as somebody holds them.
type shared[T any] struct {
	mu  sync.Mutex
	all map[[sha256.Size]byte]weak.Pointer[T]
}

// get returns the object that was made of the same, or makes one.
func (s *shared[T]) get(of any, make func() (*T, error)) (*T, error) {
	text, err := json.Marshal(of)
	if err != nil {
		return nil, err
	}
	name := sha256.Sum256(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if there := s.all[name].Value(); there != nil {
		return there, nil
	}
	made, err := make()
	if err != nil {
		return nil, err
	}
	if s.all == nil {
		s.all = map[[sha256.Size]byte]weak.Pointer[T]{}
	}
	s.all[name] = weak.Make(made)
	runtime.AddCleanup(made, s.drop, name)
	return made, nil
}

// drop forgets an object that is gone, unless another has taken its place.
func (s *shared[T]) drop(name [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[name].Value() == nil {
		delete(s.all, name)
	}
}

// verifier is that of a token configuration. The content of its files counts, so that a reload takes new keys.
func (g *Registry) verifier(c *config.Token, leeway time.Duration, health *observe.Health, log *slog.Logger) (*identity.Verifier, error) {
	o := identity.Options{Secret: []byte(c.Secret), JWKS: c.JWKSURL, Issuer: c.Issuer, Audience: c.Audience, Leeway: leeway}
	if health != nil {
		o.Told = identity.Raising(health)
	}
	for _, name := range c.PublicKeyFiles {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, problem.New("HR9003", "public key: %w", err).At(name)
		}
		o.PublicKeys = append(o.PublicKeys, text)
	}
	v, err := g.verifiers.get(o, func() (*identity.Verifier, error) { return identity.New(o, log) })
	if err != nil {
		return nil, problem.New("HR9003", "tokens: %w", err).At("auth.jwt")
	}
	return v, nil
}
