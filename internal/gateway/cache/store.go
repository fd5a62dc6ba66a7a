// Package cache keeps answers for the next request, as RFC 9111 has it for a shared cache, in bounded memory.
package cache

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"
	"github.com/nats-io/nats.go"

	"github.com/headrace/headrace/internal/config"
)

// Store is what is kept. It lives as long as the process, over changes of the configuration. It is a prometheus.Collector.
type Store struct {
	kept  *otter.Cache[id, *entry]
	most  int64
	start time.Time
	seeds [3]maphash.Seed

	// generations count the changes of addresses by requests that are not safe. Addresses share them by their hash: at worst one more
	// answer is asked for again.
	generations [1 << 16]atomic.Uint32
	purges      atomic.Uint64 // an answer that was asked for before the last one is not kept
	flights     [64]flights
	filling     atomic.Int64  // bytes of answers that are being read
	refreshing  chan struct{} // as many as answers are fetched in the background
	background  sync.WaitGroup

	mu       sync.Mutex
	outcomes map[string]*outcomes // by route

	evicted, purged atomic.Uint64

	name  string // among the nodes
	nodes atomic.Pointer[nats.Conn]
}

const refreshers = 64

// NewStore makes an empty store of this many bytes.
func NewStore(size config.Size) *Store {
	s := &Store{most: int64(size), start: time.Now(), refreshing: make(chan struct{}, refreshers), outcomes: map[string]*outcomes{}}
	for i := range s.seeds {
		s.seeds[i] = maphash.MakeSeed()
	}
	for i := range s.flights {
		s.flights[i].under = map[id]*flight{}
	}
	s.kept = otter.Must(&otter.Options[id, *entry]{
		MaximumWeight: uint64(size), Weigher: func(_ id, e *entry) uint32 { return e.size() },
		OnAtomicDeletion: func(d otter.DeletionEvent[id, *entry]) {
			if d.WasEvicted() {
				s.evicted.Add(1)
			}
		},
	})
	return s
}

// Close waits for what is fetched in the background, and leaves the other nodes.
func (s *Store) Close() {
	s.background.Wait()
	if conn := s.nodes.Swap(nil); conn != nil {
		conn.Close()
	}
	s.kept.StopAllGoroutines()
}

func (s *Store) now() time.Duration { return time.Since(s.start) }

func (s *Store) generation(uri uint64) *atomic.Uint32 {
	return &s.generations[uri%uint64(len(s.generations))]
}

// Stats are figures of the store.
type Stats struct {
	Entries int               `json:"entries"`
	Bytes   uint64            `json:"bytes"`
	Limit   uint64            `json:"limit"`
	Evicted uint64            `json:"evicted"`
	Purged  uint64            `json:"purged"`
	Routes  map[string]Counts `json:"routes"`
}

// Stats tells what is kept and how often it was of use.
func (s *Store) Stats() Stats {
	s.kept.CleanUp()
	st := Stats{Entries: s.kept.EstimatedSize(), Bytes: s.kept.WeightedSize(), Limit: uint64(s.most), Evicted: s.evicted.Load(), Purged: s.purged.Load(), Routes: map[string]Counts{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	for route, o := range s.outcomes {
		st.Routes[route] = o.counts()
	}
	return st
}
