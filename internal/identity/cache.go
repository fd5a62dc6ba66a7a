package identity

import (
	"crypto/sha256"
	"sync"
	"sync/atomic"
)

type cacheKey = [sha256.Size]byte

// cache remembers verified tokens by their hash. It has two generations: when the young one is full it becomes the old one, and what
// was in the old one and not asked for since is forgotten. A nil cache remembers nothing.
type cache struct {
	half   int
	clears atomic.Uint64

	mu         sync.Mutex
	young, old map[cacheKey]*Claims
}

func newCache(size int) *cache {
	if size < 0 {
		return nil
	}
	return &cache{half: max(1, size/2), young: map[cacheKey]*Claims{}}
}

func (c *cache) get(k cacheKey) *Claims {
	c.mu.Lock()
	defer c.mu.Unlock()
	if claims, ok := c.young[k]; ok {
		return claims
	}
	claims, ok := c.old[k]
	if ok {
		c.add(k, claims)
	}
	return claims
}

// version changes with every clear.
func (c *cache) version() uint64 {
	if c == nil {
		return 0
	}
	return c.clears.Load()
}

// put remembers claims, unless the cache was cleared since version: then the key that verified them may be gone.
func (c *cache) put(k cacheKey, claims *Claims, version uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if version == c.clears.Load() {
		c.add(k, claims)
	}
}

func (c *cache) add(k cacheKey, claims *Claims) {
	if len(c.young) >= c.half {
		c.young, c.old = make(map[cacheKey]*Claims, c.half), c.young
	}
	c.young[k] = claims
}

func (c *cache) clear() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clears.Add(1)
	c.young, c.old = map[cacheKey]*Claims{}, nil
}
