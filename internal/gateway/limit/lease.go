package limit

import (
	"crypto/sha256"
	"encoding/hex"
	"time"
)

// lease is what this node may let pass of a limit that is shared.
type lease struct {
	subject   string
	left      int64 // requests that may pass; below 0 what passed without the engine, which it is told later, at most a burst
	remaining int64 // requests that the engine had left when it was last asked
	closed    int64 // until then the engine has nothing left
	alone     int64 // until then this node counts alone; 0 if it does not
	asking    chan struct{}

	level    int64  // of the engine as last seen: when all of the limit is there again, in nanoseconds of Unix
	revision uint64 // of level
}

const (
	patience = 100 * time.Millisecond // a request waits no longer for a lease
	solitude = time.Second            // after a failure a node counts alone for this time
)

// takeShared takes from the lease, and asks for more before it is used up. It is called with the shard locked and lets go of it while it waits.
func (l *Limiter) takeShared(sh *shard, e *entry, key []byte) Verdict {
	if e.lease == nil {
		e.lease = &lease{subject: subject(l.scope.name, key)}
	}
	le, pool := e.lease, &l.store.pool
	var timeout *time.Timer
	for {
		now := l.store.now()
		switch {
		case le.left > 0:
			le.left--
			if le.left <= l.rule.batch/2 && le.closed <= now && le.alone <= now {
				pool.ask(sh, e, l.rule)
			}
			return Verdict{OK: true, Remaining: int(le.left + le.remaining), Reset: time.Duration(max(0, e.full-now))}
		case le.closed > now:
			return Verdict{Retry: time.Duration(le.closed - now), Reset: time.Duration(max(0, e.full-now))}
		case le.alone > now || !pool.ask(sh, e, l.rule):
			le.alone = max(le.alone, now+1)
			return l.rule.owe(e, now)
		}
		if timeout == nil {
			timeout = time.NewTimer(pool.patience)
			defer timeout.Stop()
		}
		arrived := le.asking
		sh.mu.Unlock()
		late := false
		select {
		case <-arrived:
		case <-timeout.C:
			late = true
		}
		sh.mu.Lock()
		if late {
			pool.late.Add(1)
			return l.rule.owe(e, l.store.now())
		}
	}
}

// owe counts on this node, and as a debt that the next lease pays.
func (r *rule) owe(e *entry, now int64) Verdict {
	v := r.take(e, now)
	if v.OK && e.lease.left > -r.burst {
		e.lease.left--
	}
	return v
}

// subject is where the engine keeps a key. What the key says is not told.
func subject(scope string, key []byte) string {
	h := sha256.New()
	h.Write([]byte(scope))
	h.Write([]byte{0})
	h.Write(key)
	return subjects + hex.EncodeToString(h.Sum(nil)[:16])
}
