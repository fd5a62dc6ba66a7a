package certs

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/engine"
)

func openEngine(t testing.TB, data string) *engine.Engine {
	e, err := engine.Open(context.Background(), engine.Config{Data: data, Durability: engine.Fsync, MinFree: -1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Stop(context.Background()) })
	return e
}

func openTest(t testing.TB, e *engine.Engine) *storage {
	s, err := openStorage(t.Context(), e, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.close)
	return s
}

func TestStorage(t *testing.T) {
	data := t.TempDir()
	e := openEngine(t, data)
	s, ctx := openTest(t, e), t.Context()
	if _, err := s.Load(ctx, "a/b"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
	if _, err := s.List(ctx, "a", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("list of what is not there: %v", err)
	}
	for _, key := range []string{"a/sites/www.example.com/www.example.com.crt", "a/sites/wildcard_.example.com/x.key", "a/users/me@example.com/me.json", "b"} {
		if err := s.Store(ctx, key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	for prefix, want := range map[string][]string{
		"a/sites": {"a/sites/wildcard_.example.com", "a/sites/www.example.com"}, "a/users/me@example.com": {"a/users/me@example.com/me.json"}, "": {"a", "b"},
	} {
		if got, err := s.List(ctx, prefix, false); err != nil || !slices.Equal(got, want) {
			t.Errorf("list of %q: %q %v", prefix, got, err)
		}
	}
	if got, err := s.List(ctx, "a", true); err != nil || len(got) != 3 {
		t.Errorf("list: %q %v", got, err)
	}
	if !s.Exists(ctx, "a/sites") || s.Exists(ctx, "a/site") {
		t.Error("exists")
	}
	if i, err := s.Stat(ctx, "a/sites"); err != nil || i.IsTerminal {
		t.Errorf("folder: %+v %v", i, err)
	}
	if i, err := s.Stat(ctx, "b"); err != nil || !i.IsTerminal || i.Size != 1 || time.Since(i.Modified) > time.Minute {
		t.Errorf("value: %+v %v", i, err)
	}
	if err := s.Delete(ctx, "a/sites"); err != nil || s.Exists(ctx, "a/sites") {
		t.Errorf("delete: %v", err)
	}

	s.close()
	if err := e.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	again := openTest(t, openEngine(t, data))
	if b, err := again.Load(ctx, "a/users/me@example.com/me.json"); err != nil || string(b) != "a/users/me@example.com/me.json" {
		t.Errorf("after a restart: %q %v", b, err)
	}
}

func TestLock(t *testing.T) {
	e := openEngine(t, t.TempDir())
	a, b, ctx := openTest(t, e), openTest(t, e), t.Context()
	b.owner = "other b"
	if err := a.Lock(ctx, "issue_cert_www.example.com"); err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := b.Lock(short, "issue_cert_www.example.com"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("two hold the lock: %v", err)
	}
	held := make(chan error, 1)
	go func() { held <- b.Lock(ctx, "issue_cert_www.example.com") }()
	if err := a.Unlock(ctx, "issue_cert_www.example.com"); err != nil {
		t.Fatal(err)
	}
	if err := <-held; err != nil {
		t.Fatal(err)
	}
	if err := a.Unlock(ctx, "issue_cert_www.example.com"); err == nil {
		t.Error("a lock of somebody else was given back")
	}

	// One that a former run of the node held is free.
	again := openTest(t, e)
	again.owner = "other again"
	if err := again.Lock(ctx, "issue_cert_www.example.com"); err != nil {
		t.Fatal(err)
	}
}

func FuzzSubject(f *testing.F) {
	f.Add("acme/acme-v02.api.letsencrypt.org-directory/sites/wildcard_.example.com/x.crt")
	f.Add("a@b=c/ü//..")
	f.Fuzz(func(t *testing.T, key string) {
		s := subject("k", key)
		for i := range len(s) {
			if c := s[i]; c <= ' ' || c == '*' || c == '>' || c >= 0x7f {
				t.Fatalf("%q: %q", key, s)
			}
		}
		if back := subject("k", name(s)); back != s {
			t.Fatalf("%q: %q, then %q", key, s, back)
		}
	})
}
