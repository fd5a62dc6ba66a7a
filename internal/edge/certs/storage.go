package certs

import (
	"context"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/problem"
)

// bucket holds accounts, keys, certificates and challenges under k, and locks under l.
const bucket = "certificates"

// storage keeps what certmagic wants to keep in the engine, where every node finds it. It is a certmagic.Storage.
type storage struct {
	engine *engine.Engine
	conn   *nats.Conn
	kv     jetstream.KeyValue
	log    *slog.Logger
	owner  string // of locks: the node and this run of it

	mu    sync.Mutex
	locks map[string]*lock
}

func openStorage(ctx context.Context, e *engine.Engine, log *slog.Logger) (*storage, error) {
	conn, err := e.Connect("certificates")
	if err != nil {
		return nil, err
	}
	s := &storage{engine: e, conn: conn, log: log, owner: e.Node() + " " + ulid.Make().String(), locks: map[string]*lock{}}
	js, err := jetstream.New(conn)
	if err == nil {
		_, err = e.Stream(ctx, js, jetstream.StreamConfig{
			Name: "KV_" + bucket, Subjects: []string{"$KV." + bucket + ".>"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
			Discard: jetstream.DiscardNew, MaxMsgsPerSubject: 1, AllowRollup: true, DenyDelete: true, AllowDirect: true, Duplicates: 2 * time.Minute,
		})
	}
	if err == nil {
		s.kv, err = js.KeyValue(ctx, bucket)
	}
	if err != nil {
		conn.Close()
		return nil, problem.New("HR4034", "%w", err).At("server.tls.acme")
	}
	return s, nil
}

func (s *storage) close() {
	s.mu.Lock()
	for _, l := range s.locks {
		l.end()
	}
	s.mu.Unlock()
	s.conn.Close()
}

// subject is a path as the bucket takes it: its parts are tokens, and what tokens cannot hold is written as = and two digits.
func subject(root, name string) string {
	var b strings.Builder
	b.WriteString(root)
	for part := range strings.SplitSeq(strings.Trim(path.Clean("/"+name), "/"), "/") {
		if part == "" {
			continue
		}
		b.WriteByte('.')
		for i := range len(part) {
			switch c := part[i]; {
			case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '_':
				b.WriteByte(c)
			default:
				b.WriteByte('=')
				b.WriteString(hex.EncodeToString([]byte{c}))
			}
		}
	}
	return b.String()
}

// name is the path of a subject.
func name(subject string) string {
	_, rest, _ := strings.Cut(subject, ".")
	var b strings.Builder
	for i := 0; i < len(rest); i++ {
		switch c := rest[i]; {
		case c == '.':
			b.WriteByte('/')
		case c == '=' && i+2 < len(rest):
			if raw, err := hex.DecodeString(rest[i+1 : i+3]); err == nil {
				b.Write(raw)
				i += 2
			}
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

// Store implements certmagic.Storage. What it has stored is as durable as the engine makes it.
func (s *storage) Store(ctx context.Context, key string, value []byte) error {
	if _, err := s.kv.Put(ctx, subject("k", key), value); err != nil {
		return err
	}
	return s.engine.Commit(ctx, "KV_"+bucket)
}

// Load implements certmagic.Storage.
func (s *storage) Load(ctx context.Context, key string) ([]byte, error) {
	e, err := s.get(ctx, key)
	if err != nil {
		return nil, err
	}
	return e.Value(), nil
}

func (s *storage) get(ctx context.Context, key string) (jetstream.KeyValueEntry, error) {
	e, err := s.kv.Get(ctx, subject("k", key))
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		err = fs.ErrNotExist
	}
	return e, err
}

// Delete implements certmagic.Storage; it takes what is below the key, too.
func (s *storage) Delete(ctx context.Context, key string) error {
	below, err := s.below(ctx, key)
	if err != nil {
		return err
	}
	for _, one := range append(below, subject("k", key)) {
		if err := s.kv.Delete(ctx, one); err != nil {
			return err
		}
	}
	return s.engine.Commit(ctx, "KV_"+bucket)
}

// Exists implements certmagic.Storage.
func (s *storage) Exists(ctx context.Context, key string) bool {
	if _, err := s.get(ctx, key); err == nil {
		return true
	}
	below, err := s.below(ctx, key)
	return err == nil && len(below) > 0
}

// List implements certmagic.Storage.
func (s *storage) List(ctx context.Context, prefix string, recursive bool) ([]string, error) {
	below, err := s.below(ctx, prefix)
	if err != nil {
		return nil, err
	}
	if len(below) == 0 {
		return nil, fs.ErrNotExist
	}
	depth := strings.Count(subject("k", prefix), ".") + 1
	var names []string
	for _, one := range below {
		if tokens := strings.Split(one, "."); !recursive && len(tokens) > depth+1 {
			one = strings.Join(tokens[:depth+1], ".")
		}
		names = append(names, name(one))
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Stat implements certmagic.Storage.
func (s *storage) Stat(ctx context.Context, key string) (certmagic.KeyInfo, error) {
	e, err := s.get(ctx, key)
	if err == nil {
		return certmagic.KeyInfo{Key: key, Modified: e.Created(), Size: int64(len(e.Value())), IsTerminal: true}, nil
	}
	if errors.Is(err, fs.ErrNotExist) && s.Exists(ctx, key) {
		return certmagic.KeyInfo{Key: key}, nil
	}
	return certmagic.KeyInfo{}, err
}

// below are the subjects below a key.
func (s *storage) below(ctx context.Context, key string) ([]string, error) {
	keys, err := s.kv.ListKeysFiltered(ctx, subject("k", key)+".>")
	if err != nil {
		return nil, err
	}
	defer func() { _ = keys.Stop() }()
	var list []string
	for one := range keys.Keys() {
		list = append(list, one)
	}
	return list, nil
}
