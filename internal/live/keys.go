package live

import (
	"sync"
	"time"
)

// keys are the idempotency keys of channels without history.
type keys struct {
	mu    sync.Mutex
	until map[keyOf]time.Time
	swept time.Time
}

type keyOf struct{ channel, key string }

const (
	keyTTL     = 5 * time.Minute
	longestTTL = time.Hour
	mostKeys   = 1 << 17
)

// use is false if the key was used and is still known. When there are too many keys, none are known any more.
func (k *keys) use(channel, key string, ttl time.Duration) bool {
	now := time.Now()
	if ttl <= 0 {
		ttl = keyTTL
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.until == nil || len(k.until) >= mostKeys {
		k.until = map[keyOf]time.Time{}
	}
	if now.Sub(k.swept) > time.Minute {
		k.swept = now
		for of, until := range k.until {
			if until.Before(now) {
				delete(k.until, of)
			}
		}
	}
	of := keyOf{channel, key}
	if k.until[of].After(now) {
		return false
	}
	k.until[of] = now.Add(min(ttl, longestTTL))
	return true
}
