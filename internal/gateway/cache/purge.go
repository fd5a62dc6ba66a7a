package cache

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/oklog/ulid/v2"

	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/problem"
)

// Purge is what to forget. What has one of the tags or one of the prefixes goes; Host bounds it to one host.
type Purge struct {
	Tags     []string `json:"tags,omitempty"`
	Prefixes []string `json:"prefixes,omitempty"` // of the path: /a is /a and all below
	Host     string   `json:"host,omitempty"`     // as clients name it, with a port if they do; empty is any
	All      bool     `json:"all,omitempty"`      // with Host: all of it
}

// Purge forgets answers and returns how many on this node. Answers that are being fetched are not kept. Other nodes are told if the store has
// joined them; one that is not reached at that moment keeps what it has.
func (s *Store) Purge(p Purge) int {
	if conn := s.nodes.Load(); conn != nil {
		if text, err := json.Marshal(p); err == nil { // it always can
			_ = conn.PublishMsg(&nats.Msg{Subject: purgeSubject, Header: nats.Header{"From": {s.name}}, Data: text})
		}
	}
	return s.purge(p)
}

func (s *Store) purge(p Purge) int {
	s.purges.Add(1)
	host := strings.ToLower(p.Host)
	n := 0
	for key, e := range s.kept.All() {
		if e.mark() || host != "" && e.host != host {
			continue
		}
		if !p.All && !slices.ContainsFunc(p.Prefixes, e.below) && !slices.ContainsFunc(p.Tags, func(t string) bool { return slices.Contains(e.tags, t) }) {
			continue
		}
		if _, ok := s.kept.Invalidate(key); ok {
			n++
		}
	}
	s.purged.Add(uint64(n))
	return n
}

const purgeSubject = "headrace.cache.purge"

// Join tells the other nodes of an engine of purges, and does theirs, until Close. The error is HR5005.
func (s *Store) Join(e *engine.Engine) error {
	conn, err := e.Connect("cache")
	if err != nil {
		return err
	}
	s.name = ulid.Make().String()
	if _, err := conn.Subscribe(purgeSubject, func(m *nats.Msg) {
		var p Purge
		if m.Header.Get("From") != s.name && json.Unmarshal(m.Data, &p) == nil {
			s.purge(p)
		}
	}); err != nil {
		conn.Close()
		return problem.New("HR5005", "purges of other nodes: %w", err).At(purgeSubject)
	}
	s.nodes.Store(conn)
	return nil
}
