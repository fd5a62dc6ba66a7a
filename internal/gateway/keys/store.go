package keys

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// Buckets of the engine: a key by its id; its usage by ID.NODE, which each node writes for itself.
const (
	bucket      = "HR_KEYS"
	usageBucket = "HR_KEY_USAGE"
)

// FlushEvery is how often a node tells what was used.
const FlushEvery = 5 * time.Second

// Store is all API keys. Its methods may be called by many goroutines.
type Store struct {
	engine *engine.Engine
	log    *slog.Logger
	conn   *nats.Conn
	keys   jetstream.KeyValue
	usage  jetstream.KeyValue
	now    func() time.Time

	mu  sync.RWMutex
	all map[string]*entry

	quit  chan struct{}
	tasks sync.WaitGroup
	stop  func() error
}

// entry is a key in memory. Its usage outlives a change of the key.
type entry struct {
	key      *Key
	identity *identity.Identity
	hash     [32]byte
	meter
}

// Open reads all keys and goes on following them until Stop.
func Open(ctx context.Context, e *engine.Engine, log *slog.Logger) (*Store, error) {
	conn, err := e.Connect("keys")
	if err != nil {
		return nil, err
	}
	s := &Store{engine: e, log: log, conn: conn, now: time.Now, all: map[string]*entry{}, quit: make(chan struct{})}
	s.stop = sync.OnceValue(s.close)
	if err := s.open(ctx); err != nil {
		close(s.quit)
		s.tasks.Wait()
		conn.Close()
		return nil, err
	}
	s.tasks.Go(s.flushing)
	return s, nil
}

func (s *Store) open(ctx context.Context) error {
	js, err := jetstream.New(s.conn)
	if err != nil {
		return fmt.Errorf("keys: %w", err)
	}
	for _, b := range []struct {
		name string
		kv   *jetstream.KeyValue
		take func(jetstream.KeyValueEntry)
	}{{bucket, &s.keys, s.take}, {usageBucket, &s.usage, s.takeUsage}} {
		if *b.kv, err = openBucket(ctx, s.engine, js, b.name); err != nil {
			return err
		}
		watch, err := (*b.kv).WatchAll(context.Background())
		if err != nil {
			return problem.New("HR5005", "API keys cannot be followed: %w", err).At(b.name)
		}
		read := make(chan struct{})
		s.tasks.Go(func() { s.follow(watch, b.take, read) })
		select {
		case <-read:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// openBucket makes the stream of a bucket with the engine, so that it has its copies and its durability.
func openBucket(ctx context.Context, e *engine.Engine, js jetstream.JetStream, name string) (jetstream.KeyValue, error) {
	_, err := e.Stream(ctx, js, jetstream.StreamConfig{
		Name: "KV_" + name, Subjects: []string{"$KV." + name + ".>"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardNew,
		MaxMsgsPerSubject: 1, AllowRollup: true, DenyDelete: true, AllowDirect: true, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return nil, err
	}
	kv, err := js.KeyValue(ctx, name)
	if err != nil {
		return nil, problem.New("HR5005", "bucket cannot be opened: %w", err).At(name)
	}
	return kv, nil
}

// follow takes changes as they come; read is closed when all that was there is taken.
func (s *Store) follow(watch jetstream.KeyWatcher, take func(jetstream.KeyValueEntry), read chan<- struct{}) {
	defer func() { _ = watch.Stop() }()
	for {
		select {
		case <-s.quit:
			return
		case e, ok := <-watch.Updates():
			switch {
			case !ok:
				return
			case e == nil:
				close(read)
			default:
				take(e)
			}
		}
	}
}

// take puts a change of a key into memory.
func (s *Store) take(e jetstream.KeyValueEntry) {
	if e.Operation() != jetstream.KeyValuePut {
		s.mu.Lock()
		delete(s.all, e.Key())
		s.mu.Unlock()
		return
	}
	var r record
	err := json.Unmarshal(e.Value(), &r)
	var k *Key
	if err == nil {
		k, err = r.key()
	}
	if err == nil && (r.ID != e.Key() || len(r.Hash) != 32) {
		err = errors.New("it is damaged")
	}
	if err != nil {
		s.log.Error("API key cannot be read, it is not taken", "key", e.Key(), "error", err)
		return
	}
	s.put(k, r.Hash)
}

func (s *Store) put(k *Key, hash []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[k.ID] != nil { // a key never changes
		return
	}
	e := &entry{key: k, identity: k.identity(), hash: [32]byte(hash)}
	e.quota, e.per = int64(k.Quota.N), int64(k.Quota.Per/time.Second)
	s.all[k.ID] = e
}

// Create makes a key and returns it with its text, which nobody can tell later. HR4061 for a spec that is not right, HR4062 if the engine does
// not keep it.
func (s *Store) Create(ctx context.Context, spec Spec) (*Key, string, error) {
	now := s.now()
	if err := spec.check(now); err != nil {
		return nil, "", err
	}
	if err := s.engine.Admit(); err != nil {
		return nil, "", err
	}
	id, text := generate()
	_, secret, _ := Parse([]byte(text))
	sum := hash(secret)
	k := &Key{ID: id, Spec: spec, Created: now.UTC().Truncate(time.Second)}
	value, err := json.Marshal(k.record(sum[:]))
	if err != nil {
		return nil, "", err
	}
	if _, err = s.keys.Create(ctx, id, value); err == nil {
		err = s.engine.Commit(ctx, "KV_"+bucket)
	}
	if err != nil {
		return nil, "", problem.New("HR4062", "%w", err)
	}
	s.put(k, sum[:])
	return k, text, nil
}

// Delete revokes a key. It is not taken on this node any more when Delete returns, and on the others a moment later. HR4060 if there is none.
func (s *Store) Delete(ctx context.Context, id string) error {
	if s.find([]byte(id)) == nil {
		return unknown(id)
	}
	err := s.keys.Delete(ctx, id)
	if err == nil {
		err = s.engine.Commit(ctx, "KV_"+bucket)
	}
	if err != nil {
		return problem.New("HR4062", "key %s was not revoked: %w", id, err)
	}
	s.mu.Lock()
	delete(s.all, id)
	s.mu.Unlock()
	s.forget(ctx, id)
	return nil
}

func unknown(id string) error { return problem.New("HR4060", "no API key %.60q", id).At(id) }

func (s *Store) find(id []byte) *entry {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.all[string(id)]
}

// Get returns a key and what was done with it: HR4060 if there is none.
func (s *Store) Get(id string) (*Key, Usage, error) {
	e := s.find([]byte(id))
	if e == nil {
		return nil, Usage{}, unknown(id)
	}
	return e.key, e.usage(s.now()), nil
}

// List returns the keys of an owner, or all for "", the oldest first.
func (s *Store) List(owner string) []*Key {
	s.mu.RLock()
	list := make([]*Key, 0, len(s.all))
	for _, e := range s.all {
		if owner == "" || e.key.Owner == owner {
			list = append(list, e.key)
		}
	}
	s.mu.RUnlock()
	slices.SortFunc(list, func(a, b *Key) int {
		if c := a.Created.Compare(b.Created); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return list
}

// Find returns the key that the text is, and who asks with it; it costs no I/O and counts nothing. HR4044 for a text that is no key, that is unknown
// or revoked, and for one that has expired. The result is shared and must not be changed.
func (s *Store) Find(text []byte) (*Key, *identity.Identity, error) {
	id, secret, ok := Parse(text)
	if !ok {
		return nil, nil, problem.New("HR4044", "the API key is not complete")
	}
	e := s.find(id)
	sum := hash(secret)
	if e == nil || subtle.ConstantTimeCompare(sum[:], e.hash[:]) != 1 {
		return nil, nil, problem.New("HR4044", "the API key is unknown or revoked")
	}
	if x := e.key.Expires; !x.IsZero() && !s.now().Before(x) {
		return nil, nil, problem.New("HR4044", "the API key expired at %s", x.UTC().Format(time.RFC3339)).At(e.key.ID)
	}
	return e.key, e.identity, nil
}

// Count counts a request of a key: HR4046 if its quota is used up, and then how long until it is not. Nodes know of each other's requests after
// FlushEvery, so that several of them together may let a few more pass.
func (s *Store) Count(k *Key) (wait time.Duration, err error) {
	e := s.find([]byte(k.ID))
	if e == nil {
		return 0, nil // revoked in this moment; it was still taken
	}
	if wait = e.count(s.now()); wait > 0 {
		return wait, problem.New("HR4046", "%s requests are the quota of the key", k.Quota).At(k.ID)
	}
	return 0, nil
}

// Stop tells what was used and ends. It is idempotent.
func (s *Store) Stop(ctx context.Context) error {
	ended := make(chan error, 1)
	go func() { ended <- s.stop() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) close() error {
	close(s.quit)
	s.tasks.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), FlushEvery)
	defer cancel()
	err := s.flush(ctx)
	s.conn.Close()
	return err
}
