package keys

import (
	"context"
	"crypto/rand"
	"errors"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/problem"
)

// secretBucket has keys that nodes share.
const secretBucket = "HR_SECRETS"

// SecretSize is the size of a secret in bytes.
const SecretSize = 32

// Secret is a random key that all nodes share, made by the first that asks for the name, which is letters, digits, - and _. Sessions that were
// encrypted with it outlive restarts. HR4062 if the engine cannot tell it.
func (s *Store) Secret(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, SecretSize)
	_, _ = rand.Read(fresh) // never fails
	if s.conn == nil {      // a store that is not open, as a check of the configuration has it, keeps nothing
		return fresh, nil
	}
	js, err := jetstream.New(s.conn)
	if err != nil {
		return nil, err
	}
	kv, err := openBucket(ctx, s.engine, js, secretBucket)
	if err != nil {
		return nil, err
	}
	_, err = kv.Create(ctx, name, fresh)
	if err == nil {
		return fresh, s.engine.Commit(ctx, "KV_"+secretBucket)
	}
	if !errors.Is(err, jetstream.ErrKeyExists) {
		return nil, problem.New("HR4062", "secret %s: %w", name, err)
	}
	entry, err := kv.Get(ctx, name)
	if err != nil {
		return nil, problem.New("HR4062", "secret %s: %w", name, err)
	}
	if len(entry.Value()) != SecretSize {
		return nil, problem.New("HR4062", "secret %s is damaged", name)
	}
	return entry.Value(), nil
}
