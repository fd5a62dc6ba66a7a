package certs

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	lockRefresh = 10 * time.Second // between two signs of life of the one who holds a lock
	lockStale   = 35 * time.Second // without a sign of life; each node looks at its own clock
	lockLook    = time.Second      // between two looks at a lock of somebody else
)

// lock is one that this process holds.
type lock struct {
	key      string
	mu       sync.Mutex
	revision uint64
	quit     chan struct{}
	once     sync.Once
}

func (l *lock) end() { l.once.Do(func() { close(l.quit) }) }

// Lock implements certmagic.Locker.
func (s *storage) Lock(ctx context.Context, name string) error {
	key := subject("l", name)
	var seen uint64
	var since time.Time
	for {
		revision, err := s.kv.Create(ctx, key, []byte(s.owner))
		if err == nil {
			s.hold(name, key, revision)
			return nil
		}
		if !errors.Is(err, jetstream.ErrKeyExists) {
			return err
		}
		e, err := s.kv.Get(ctx, key)
		if errors.Is(err, jetstream.ErrKeyNotFound) {
			continue // it was given back meanwhile
		}
		if err != nil {
			return err
		}
		if e.Revision() != seen {
			seen, since = e.Revision(), time.Now()
		}
		if time.Since(since) > lockStale || s.former(string(e.Value())) {
			if revision, err = s.kv.Update(ctx, key, []byte(s.owner), seen); err == nil {
				s.hold(name, key, revision)
				return nil
			}
		}
		wait := time.NewTimer(lockLook)
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return ctx.Err()
		}
	}
}

// former tells whether the owner of a lock is a former run of this node, of which there is only one at a time.
func (s *storage) former(owner string) bool {
	node, _, _ := strings.Cut(s.owner, " ")
	other, _, _ := strings.Cut(owner, " ")
	return node == other && owner != s.owner
}

func (s *storage) hold(name, key string, revision uint64) {
	l := &lock{key: key, revision: revision, quit: make(chan struct{})}
	s.mu.Lock()
	s.locks[name] = l
	s.mu.Unlock()
	go func() {
		tick := time.NewTicker(lockRefresh)
		defer tick.Stop()
		for {
			select {
			case <-l.quit:
				return
			case <-tick.C:
			}
			l.mu.Lock()
			ctx, cancel := context.WithTimeout(context.Background(), lockRefresh)
			revision, err := s.kv.Update(ctx, key, []byte(s.owner), l.revision)
			cancel()
			if err == nil {
				l.revision = revision
			}
			l.mu.Unlock()
			if err != nil {
				s.log.Warn("lock of a certificate is not kept", "lock", name, "error", err)
			}
		}
	}()
}

// Unlock implements certmagic.Locker.
func (s *storage) Unlock(ctx context.Context, name string) error {
	s.mu.Lock()
	l := s.locks[name]
	delete(s.locks, name)
	s.mu.Unlock()
	if l == nil {
		return errors.New("the lock is not held")
	}
	l.end()
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.kv.Delete(ctx, l.key, jetstream.LastRevision(l.revision))
}
