// Package limit counts requests against rates: exactly on one node in bounded memory, and over all nodes by tokens that each node takes from
// the engine a few at a time. The same Store counts for routes, live connections and jobs.
package limit

import (
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
)

// Deps are what a Store needs.
type Deps struct {
	Engine *engine.Engine // keeps what is shared; nil lets each node count alone
	Log    *slog.Logger
	Keys   int // most keys that are counted at a time; default a million
}

// Store is what was counted. It lives as long as the process, over changes of the configuration. It is a prometheus.Collector.
type Store struct {
	log    *slog.Logger
	start  time.Time
	a, b   maphash.Seed
	shards [shards]shard
	most   int // keys of a shard
	pool   pool

	mu     sync.RWMutex
	scopes map[string]*scope

	forgotten atomic.Uint64
}

const (
	shards      = 64
	defaultKeys = 1_000_000
)

// NewStore makes an empty store.
func NewStore(d Deps) *Store {
	if d.Keys == 0 {
		d.Keys = defaultKeys
	}
	s := &Store{log: d.Log, start: time.Now(), a: maphash.MakeSeed(), b: maphash.MakeSeed(), most: max(1, d.Keys/shards), scopes: map[string]*scope{}}
	for i := range s.shards {
		s.shards[i].entries = map[id]*entry{}
	}
	s.pool.init(s, d.Engine)
	return s
}

// Close ends the work on shared limits; what is asked afterwards is counted by this node alone.
func (s *Store) Close() { s.pool.close() }

// now is the time since the store was made, in nanoseconds; changes of the clock do not matter to it.
func (s *Store) now() int64 { return int64(time.Since(s.start)) }

// Verdict is what became of a request.
type Verdict struct {
	OK        bool
	Remaining int           // requests that may follow at once
	Retry     time.Duration // when the next may come, if it is not OK
	Reset     time.Duration // when all of the limit is there again
}

// Limiter is one limit. It may be used by many goroutines and needs not be closed.
type Limiter struct {
	store *Store
	scope *scope
	rule  rule
}

// Limiter is the limit of a name that counts as c says, apart from c.By: the caller says whom it counts. Limiters of one name share their
// counts, also with the limits of that name on routes.
func (s *Store) Limiter(name string, c config.Limit) *Limiter {
	return &Limiter{store: s, scope: s.scope(name), rule: newRule(c)}
}

// Take counts a request of a key. A shared limit may wait for the engine, at most a tenth of a second.
func (l *Limiter) Take(key []byte) Verdict {
	v, _ := l.take(key)
	return v
}

// Take counts against the limit of a name on this node; a burst of 0 is the count of the rate. The name becomes a label of a metric: it is
// that of the limit, not of whom it counts.
func (s *Store) Take(name, key string, rate config.Rate, burst int) (ok bool, retry time.Duration, remaining int) {
	v := s.Limiter(name, config.Limit{Rate: rate, Burst: burst}).Take([]byte(key))
	return v.OK, v.Retry, v.Remaining
}

// TakeShared is Take over all nodes, and over restarts.
func (s *Store) TakeShared(name, key string, rate config.Rate, burst int) (ok bool, retry time.Duration, remaining int) {
	v := s.Limiter(name, config.Limit{Rate: rate, Burst: burst, Shared: true}).Take([]byte(key))
	return v.OK, v.Retry, v.Remaining
}

// scope is what one name counts.
type scope struct {
	name            string
	a, b            uint64
	passed, refused atomic.Uint64
}

func (s *Store) scope(name string) *scope {
	s.mu.RLock()
	sc := s.scopes[name]
	s.mu.RUnlock()
	if sc != nil {
		return sc
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if sc = s.scopes[name]; sc == nil {
		sc = &scope{name: name, a: maphash.String(s.a, name), b: maphash.String(s.b, name)}
		s.scopes[name] = sc
	}
	return sc
}

// id stands for a key of a scope. Two of 128 bits that are equal by chance are not to be expected, and the seeds are secret.
type id struct{ a, b uint64 }

func (l *Limiter) id(key []byte) id {
	return id{maphash.Bytes(l.store.a, key) ^ l.scope.a, maphash.Bytes(l.store.b, key) ^ l.scope.b}
}

func (l *Limiter) take(key []byte) (Verdict, id) {
	at := l.id(key)
	sh := &l.store.shards[at.b%shards]
	now := l.store.now()
	sh.mu.Lock()
	e := sh.entries[at]
	if e == nil {
		e = sh.add(l.store, at, now)
	}
	var v Verdict
	switch {
	case l.rule.shared:
		v = l.takeShared(sh, e, key)
	case l.rule.window:
		v = l.rule.slide(e, now)
	default:
		v = l.rule.take(e, now)
	}
	sh.mu.Unlock()
	if v.OK {
		l.scope.passed.Add(1)
	} else {
		l.scope.refused.Add(1)
	}
	return v, at
}

// giveBack undoes a take that was OK, because another limit refused the request.
func (l *Limiter) giveBack(at id) {
	sh := &l.store.shards[at.b%shards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	e := sh.entries[at]
	if e == nil {
		return
	}
	switch {
	case l.rule.shared && e.lease != nil:
		e.lease.left++
		if e.lease.alone != 0 {
			e.full -= l.rule.interval
		}
	case l.rule.window:
		l.rule.slideBack(e, l.store.now())
	default:
		e.full -= l.rule.interval
	}
	l.scope.passed.Add(^uint64(0))
}
