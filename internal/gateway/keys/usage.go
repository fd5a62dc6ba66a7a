package keys

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// meter counts the requests of one key in fixed periods.
type meter struct {
	quota, per int64 // requests in so many seconds; 0 is no limit

	mu     sync.Mutex
	own    tally            // of this node
	others map[string]tally // of the other nodes, and of this one before its restart
	dirty  bool             // own has changed since it was told
}

// tally is what one node has counted.
type tally struct {
	Used   int64 `json:"used"`             // Unix seconds
	Period int64 `json:"period,omitempty"` // number of the period since 1970
	Count  int64 `json:"count,omitempty"`  // in this period
}

// count counts a request, or tells how long none is allowed.
func (m *meter) count(now time.Time) (wait time.Duration) {
	seconds := now.Unix()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quota == 0 {
		if m.own.Used != seconds {
			m.own.Used, m.dirty = seconds, true
		}
		return 0
	}
	period := seconds / m.per
	if m.own.Period != period {
		m.own.Period, m.own.Count = period, 0
	}
	if m.total(period) >= m.quota {
		return time.Unix((period+1)*m.per, 0).Sub(now)
	}
	m.own.Count++
	m.own.Used, m.dirty = seconds, true
	return 0
}

// total is the sum of all nodes.
func (m *meter) total(period int64) int64 {
	sum := int64(0)
	if m.own.Period == period {
		sum = m.own.Count
	}
	for _, other := range m.others {
		if other.Period == period {
			sum += other.Count
		}
	}
	return sum
}

func (m *meter) usage(now time.Time) Usage {
	m.mu.Lock()
	defer m.mu.Unlock()
	u := Usage{}
	last := m.own.Used
	for _, other := range m.others {
		last = max(last, other.Used)
	}
	if last > 0 {
		u.Used = time.Unix(last, 0).UTC()
	}
	if m.quota > 0 {
		u.Count = m.total(now.Unix() / m.per)
	}
	return u
}

// takeUsage takes what a node has counted. What this process has counted it knows better; what this node had counted before is where it goes on.
func (s *Store) takeUsage(e jetstream.KeyValueEntry) {
	id, node, ok := strings.Cut(e.Key(), ".")
	var t tally
	if !ok || e.Operation() != jetstream.KeyValuePut || json.Unmarshal(e.Value(), &t) != nil {
		return
	}
	found := s.find([]byte(id))
	if found == nil {
		return
	}
	m := &found.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	if node == token(s.engine.Node()) {
		if m.own.Used == 0 {
			m.own = t
		}
		return
	}
	if m.others == nil {
		m.others = map[string]tally{}
	}
	m.others[node] = t
}

// token is a name of a node that can stand in the name of a key of a bucket.
func token(node string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, node)
}

func (s *Store) flushing() {
	tick := time.NewTicker(FlushEvery)
	defer tick.Stop()
	for {
		select {
		case <-s.quit:
			return
		case <-tick.C:
			ctx, cancel := context.WithTimeout(context.Background(), FlushEvery)
			if err := s.flush(ctx); err != nil {
				s.log.Warn("usage of API keys is not told to the other nodes", "error", err)
			}
			cancel()
		}
	}
}

// flush tells what has changed. It is not committed: after a power cut the last seconds are missing.
func (s *Store) flush(ctx context.Context) error {
	s.mu.RLock()
	changed := map[string]*entry{}
	for id, e := range s.all {
		e.mu.Lock()
		if e.dirty {
			changed[id] = e
		}
		e.mu.Unlock()
	}
	s.mu.RUnlock()
	for id, e := range changed {
		e.mu.Lock()
		t := e.own
		e.dirty = false
		e.mu.Unlock()
		value, err := json.Marshal(t)
		if err != nil {
			return err
		}
		if _, err := s.usage.Put(ctx, id+"."+token(s.engine.Node()), value); err != nil {
			e.mu.Lock()
			e.dirty = true
			e.mu.Unlock()
			return err
		}
	}
	return nil
}

// forget removes what was counted for a key that is gone. What another node still tells of it is passed over.
func (s *Store) forget(ctx context.Context, id string) {
	names, err := s.usage.ListKeysFiltered(ctx, id+".*")
	if err != nil {
		return
	}
	for name := range names.Keys() {
		if err := s.usage.Purge(ctx, name); err != nil {
			s.log.Warn("usage of a revoked API key stays", "key", id, "error", err)
		}
	}
}
