package auth

import (
	"sync"
	"time"
)

// recall remembers a bounded number of answers. It has two generations: when the young one is full it becomes the old one, and what was in the old
// one and was not asked for since is forgotten.
type recall[K comparable, V any] struct {
	half int

	mu         sync.Mutex
	young, old map[K]kept[V]
}

type kept[V any] struct {
	value V
	until int64 // Unix nanoseconds; 0 is for ever
}

func newRecall[K comparable, V any](size int) *recall[K, V] {
	return &recall[K, V]{half: max(1, size/2), young: map[K]kept[V]{}}
}

// get returns a value that was put and is still good; now matters for values with a time only.
func (c *recall[K, V]) get(k K, now time.Time) (value V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	found, ok := c.young[k]
	if !ok {
		if found, ok = c.old[k]; ok {
			c.add(k, found)
		}
	}
	if !ok || found.until != 0 && now.UnixNano() >= found.until {
		return value, false
	}
	return found.value, true
}

// put remembers a value for a time; 0 is for ever.
func (c *recall[K, V]) put(k K, value V, now time.Time, ttl time.Duration) {
	until := int64(0)
	if ttl > 0 {
		until = now.Add(ttl).UnixNano()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.add(k, kept[V]{value, until})
}

func (c *recall[K, V]) add(k K, v kept[V]) {
	if len(c.young) >= c.half {
		c.young, c.old = make(map[K]kept[V], c.half), c.young
	}
	c.young[k] = v
}
