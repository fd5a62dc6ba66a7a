package balance

import (
	"context"
	"log/slog"
	"net"
	"reflect"
	"sync"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/gateway/service"
	"github.com/headrace/headrace/internal/observe"
)

// Deps is what a Set needs.
type Deps struct {
	Log      *slog.Logger
	Health   *observe.Health
	Services *service.Supervisor // of upstreams with run; nil refuses them
	Resolver Resolver            // nil is that of the system
}

// Set holds the upstreams in force. It is a prometheus.Collector.
type Set struct {
	log      *slog.Logger
	health   *observe.Health
	services *service.Supervisor
	resolver Resolver
	epoch    time.Time

	ctx  context.Context
	stop context.CancelFunc
	work sync.WaitGroup

	mu        sync.Mutex
	upstreams map[string]*Upstream // in force
	retired   []*Upstream          // may still have requests
	processes map[string]*processes
	records   map[string]*record
}

// NewSet returns a Set without upstreams.
func NewSet(d Deps) *Set {
	s := &Set{
		log: d.Log, health: d.Health, services: d.Services, resolver: d.Resolver, epoch: time.Now(),
		upstreams: map[string]*Upstream{}, processes: map[string]*processes{}, records: map[string]*record{},
	}
	if s.resolver == nil {
		s.resolver = net.DefaultResolver
	}
	s.ctx, s.stop = context.WithCancel(context.Background())
	s.work.Go(s.tick)
	return s
}

// Find returns the upstream of that name that is in force, nil if there is none.
func (s *Set) Find(name string) *Upstream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.upstreams[name]
}

// Stop ends the checks and closes connections without requests. The processes of upstreams are those of the Supervisor, which is
// stopped afterwards.
func (s *Set) Stop() {
	s.stop()
	s.work.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.upstreams {
		u.close()
	}
	for _, u := range s.retired {
		u.close()
	}
	s.upstreams, s.retired = map[string]*Upstream{}, nil
}

func (s *Set) recordOf(name string) *record {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[name]
	if r == nil {
		r = newRecord()
		s.records[name] = r
	}
	return r
}

// tick moves the windows on and closes what has no requests any more.
func (s *Set) tick() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case <-ticker.C:
			s.ticked()
		}
	}
}

func (s *Set) ticked() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.upstreams {
		u.tick()
	}
	kept := s.retired[:0]
	for _, u := range s.retired {
		quiet := u.tick()
		if p := u.processes; p != nil && (quiet || !u.followed && u.age > quietTicks) {
			p.release(u)
		}
		if quiet {
			u.close()
		} else {
			kept = append(kept, u)
		}
	}
	clear(s.retired[len(kept):])
	s.retired = kept
	for name, r := range s.records {
		r.tick()
		if s.upstreams[name] == nil && r.unused() {
			delete(s.records, name)
		}
	}
}

func equal(a, b *config.Upstream) bool { return reflect.DeepEqual(a, b) }
