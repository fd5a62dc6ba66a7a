package limit

import (
	"sync"
	"time"
)

// shard is a part of the keys under one lock.
type shard struct {
	mu      sync.Mutex
	entries map[id]*entry
	ring    []*entry // all entries, in no order
	hand    int      // where the search for expired entries goes on
	_       [64]byte
}

// entry is what is counted of one key.
type entry struct {
	id     id
	full   int64 // when all of the limit is there again; the entry may be forgotten then. Of a token bucket it is all that is counted.
	window *window
	lease  *lease
	place  int // in ring
}

const (
	linger  = 10 * time.Second
	swept   = 2 // entries that are looked at when one is added, so that expired ones go faster than new ones come
	sampled = 8 // entries among which one is forgotten when the shard is full
)

// add makes room and an entry.
func (sh *shard) add(s *Store, at id, now int64) *entry {
	for range min(swept, len(sh.ring)) {
		if e := sh.next(); e.expired(now) {
			sh.remove(e)
		}
	}
	if len(sh.ring) >= s.most {
		least := sh.next()
		for range sampled - 1 {
			if e := sh.next(); e.full < least.full {
				least = e
			}
		}
		if least.full > now {
			s.forgotten.Add(1)
		}
		sh.remove(least)
	}
	e := &entry{id: at, full: now, place: len(sh.ring)}
	sh.ring = append(sh.ring, e)
	sh.entries[at] = e
	return e
}

func (sh *shard) next() *entry {
	sh.hand++
	if sh.hand >= len(sh.ring) {
		sh.hand = 0
	}
	return sh.ring[sh.hand]
}

func (sh *shard) remove(e *entry) {
	last := len(sh.ring) - 1
	sh.ring[e.place] = sh.ring[last]
	sh.ring[e.place].place = e.place
	sh.ring[last] = nil
	sh.ring = sh.ring[:last]
	delete(sh.entries, e.id)
	e.place = -1
}

// expired tells whether nothing is lost with the entry. It lingers for a while, since its key may come again.
func (e *entry) expired(now int64) bool {
	return e.full+int64(linger) <= now && (e.lease == nil || e.lease.asking == nil)
}
