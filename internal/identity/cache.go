package identity

import (
	"strings"
	"sync"
	"sync/atomic"
)

// cache remembers verified tokens. It has two generations: when the young one is full it becomes the old one, and what
// was in the old one and not asked for since is forgotten. A nil cache remembers nothing.
type cache struct {
	half   int
	clears atomic.Uint64

	mu         sync.Mutex
	young, old map[string]*Claims
}

func newCache(size int) *cache {
	if size < 0 {
		return nil
	}
	return &cache{half: max(1, size/2), young: map[string]*Claims{}}
}

func (c *cache) get(token string) *Claims {
	c.mu.Lock()
	defer c.mu.Unlock()
	if claims, ok := c.young[token]; ok {
		return claims
	}
	claims, ok := c.old[token]
	if ok {
		c.add(token, claims)
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
func (c *cache) put(token string, claims *Claims, version uint64) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if version == c.clears.Load() {
		c.add(token, claims)
	}
}

func (c *cache) add(token string, claims *Claims) {
	if len(c.young) >= c.half {
		c.young, c.old = make(map[string]*Claims, c.half), c.young
	}
	c.young[strings.Clone(token)] = claims // it may be in a buffer of the caller
}

func (c *cache) clear() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clears.Add(1)
	c.young, c.old = map[string]*Claims{}, nil
}
