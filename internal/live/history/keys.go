package history

import (
	"sync"
	"time"
)

// Bounds of Publish.IdempotencyTTL.
const (
	defaultKeyTTL = 5 * time.Minute
	maxKeyTTL     = time.Hour
)

// keys are the idempotency keys of publications. They are rebuilt from the stored messages when a channel is loaded, so after a
// restart a key is known as long as its publication is kept.
type keys struct {
	mu      sync.Mutex
	byName  map[string]keyUse
	swept   time.Time
	nearest time.Time // when the next one ends, at the earliest
}

type keyUse struct {
	position Position
	until    time.Time
}

func keyName(channel, key string) string { return channel + "\x00" + key }

func (k *keys) find(channel, key string, now time.Time) (Position, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	use, ok := k.byName[keyName(channel, key)]
	return use.position, ok && now.Before(use.until)
}

// add keeps at most limit keys; beyond that, arbitrary ones are forgotten.
func (k *keys) add(channel, key string, use keyUse, limit int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.nearest.IsZero() || use.until.Before(k.nearest) {
		k.nearest = use.until
	}
	k.byName[keyName(channel, key)] = use
	if len(k.byName) > limit {
		for name := range k.byName {
			delete(k.byName, name)
			break
		}
	}
}

// sweep forgets those that are over, at most every ten seconds.
func (k *keys) sweep(now time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now.Sub(k.swept) < 10*time.Second || k.nearest.IsZero() || now.Before(k.nearest) {
		return
	}
	k.swept, k.nearest = now, time.Time{}
	for name, use := range k.byName {
		if !now.Before(use.until) {
			delete(k.byName, name)
		} else if k.nearest.IsZero() || use.until.Before(k.nearest) {
			k.nearest = use.until
		}
	}
}
