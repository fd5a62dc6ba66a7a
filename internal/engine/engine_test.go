package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/problem"
)

// open starts an embedded engine that is stopped with the test.
func open(t testing.TB, cfg Config) *Engine {
	t.Helper()
	if cfg.Data == "" {
		cfg.Data = t.TempDir()
	}
	log := slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	e, err := Open(t.Context(), cfg, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, e) })
	return e
}

func stop(t testing.TB, e *Engine) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := e.Stop(ctx); err != nil && code(err) != "HR5001" {
		t.Fatal(err)
	}
}

func connect(t testing.TB, e *Engine) jetstream.JetStream {
	t.Helper()
	conn, err := e.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func code(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Code
	}
	return ""
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	if code(err) != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var orders = jetstream.StreamConfig{Name: "ORDERS", Subjects: []string{"orders.>"}}

func TestCommitThenReopen(t *testing.T) {
	data := t.TempDir()
	e := open(t, Config{Data: data})
	js := connect(t, e)
	ctx := t.Context()
	_, err := e.Stream(ctx, js, orders)
	must(t, err)
	for i := range 10 {
		_, err := js.Publish(ctx, "orders."+strconv.Itoa(i), []byte("hello"))
		must(t, err)
		must(t, e.Commit(ctx, "ORDERS"))
	}
	stop(t, e)
	again := open(t, Config{Data: data})
	stream, err := again.Stream(ctx, connect(t, again), orders)
	must(t, err)
	if got := stream.CachedInfo().State.Msgs; got != 10 {
		t.Fatalf("%d messages after reopening, want 10", got)
	}
}

func TestDurabilityAndHealth(t *testing.T) {
	for _, level := range []Durability{"", Fsync, Written} {
		e := open(t, Config{Durability: level})
		if want := string(level); want != "" && e.Durability() != want {
			t.Errorf("durability %s, want %s", e.Durability(), want)
		}
		for _, condition := range e.Health() {
			if !condition.OK {
				t.Errorf("%+v", condition)
			}
		}
		must(t, e.Admit())
		if level == Written {
			must(t, e.Commit(t.Context(), "nothing"))
		}
	}
}

func TestCommitOfNoStream(t *testing.T) {
	e := open(t, Config{})
	wantCode(t, e.Commit(t.Context(), "NONE"), "HR5001")
	must(t, e.Admit())
}

func TestCommitOfMemoryStream(t *testing.T) {
	e := open(t, Config{})
	js := connect(t, e)
	_, err := e.Stream(t.Context(), js, jetstream.StreamConfig{Name: "M", Storage: jetstream.MemoryStorage})
	must(t, err)
	must(t, e.Commit(t.Context(), "M"))
}

func TestStreamRefusesOtherOptions(t *testing.T) {
	e := open(t, Config{})
	js := connect(t, e)
	_, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	_, err = e.Stream(t.Context(), js, orders)
	must(t, err)
	other := orders
	other.MaxAge = time.Hour
	_, err = e.Stream(t.Context(), js, other)
	wantCode(t, err, "HR5009")
	if !strings.Contains(err.Error(), "max_age is not set, asked for 3600000000000") {
		t.Fatal(err)
	}
	other.PersistMode = jetstream.AsyncPersistMode
	_, err = e.Stream(t.Context(), js, other)
	wantCode(t, err, "HR5009")
}

func TestFailedSyncEndsAcknowledging(t *testing.T) {
	var mu sync.Mutex
	fail := false
	e := open(t, Config{sync: func(file *os.File, what extent) error {
		mu.Lock()
		defer mu.Unlock()
		if fail {
			return errors.New("input/output error")
		}
		return syncFile(file, what)
	}})
	js := connect(t, e)
	ctx := t.Context()
	_, err := e.Stream(ctx, js, orders)
	must(t, err)
	_, err = js.Publish(ctx, "orders.1", nil)
	must(t, err)
	must(t, e.Commit(ctx, "ORDERS"))
	mu.Lock()
	fail = true
	mu.Unlock()
	wantCode(t, e.Commit(ctx, "ORDERS"), "HR5001")
	mu.Lock()
	fail = false
	mu.Unlock()
	wantCode(t, e.Commit(ctx, "ORDERS"), "HR5001")
	wantCode(t, e.Admit(), "HR5001")
	if health := e.Health(); health[0].OK || !strings.Contains(health[0].Reason, "input/output error") {
		t.Fatalf("%+v", health)
	}
	if m := e.Metrics(); m.CommitFailures != 1 || m.Commits != 3 {
		t.Fatalf("%+v", m)
	}
}

func TestCommitHonoursContext(t *testing.T) {
	hold := make(chan struct{})
	var once sync.Once
	blocking := false
	var mu sync.Mutex
	e := open(t, Config{sync: func(*os.File, extent) error {
		mu.Lock()
		wait := blocking
		mu.Unlock()
		if wait {
			<-hold
		}
		return nil
	}})
	t.Cleanup(func() { once.Do(func() { close(hold) }) })
	js := connect(t, e)
	_, err := e.Stream(t.Context(), js, orders)
	must(t, err)
	_, err = js.Publish(t.Context(), "orders.1", nil)
	must(t, err)
	mu.Lock()
	blocking = true
	mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := e.Commit(ctx, "ORDERS"); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	once.Do(func() { close(hold) })
	must(t, e.Commit(t.Context(), "ORDERS"))
}

func TestConfigRefused(t *testing.T) {
	for _, cfg := range []Config{{Durability: "maybe"}, {Node: "a.b"}, {Node: strings.Repeat("n", 33)}, {Replicas: 3}, {Replicas: -1, URL: "nats://x"}} {
		cfg.Data = filepath.Join(t.TempDir(), "data")
		_, err := Open(t.Context(), cfg, nil)
		wantCode(t, err, "HR9003")
		if _, err := os.Stat(cfg.Data); !os.IsNotExist(err) {
			t.Error("a refused configuration made a folder")
		}
	}
}

func TestStoreThatCannotBeOpened(t *testing.T) {
	data := t.TempDir()
	must(t, os.WriteFile(filepath.Join(data, "jetstream"), nil, 0o600))
	_, err := Open(t.Context(), Config{Data: data}, nil)
	wantCode(t, err, "HR5005")
	must(t, os.Remove(filepath.Join(data, "jetstream")))
	open(t, Config{Data: data}) // the lock was let go
}

func TestManyCommitsShareASync(t *testing.T) {
	e := open(t, Config{})
	js := connect(t, e)
	for _, name := range []string{"A", "B"} {
		_, err := e.Stream(t.Context(), js, jetstream.StreamConfig{Name: name, Subjects: []string{name}})
		must(t, err)
	}
	var publishers sync.WaitGroup
	for i := range 64 {
		publishers.Go(func() {
			name := []string{"A", "B"}[i%2]
			for range 20 {
				if _, err := js.Publish(t.Context(), name, nil); err != nil {
					t.Error(err)
				}
				if err := e.Commit(t.Context(), name); err != nil {
					t.Error(err)
				}
			}
		})
	}
	publishers.Wait()
	m := e.Metrics()
	if m.Commits != 64*20+2 || m.Epochs > m.Commits/2 || m.CommitFailures != 0 || m.StreamsBytes == 0 || m.DiskFree == 0 {
		t.Fatalf("%+v", m)
	}
}

// A stream that is deleted and made again has new files under the old names.
func TestStreamMadeAgain(t *testing.T) {
	disk, data := newDisk(), t.TempDir()
	e := open(t, Config{Data: data, sync: disk.sync})
	js := connect(t, e)
	for range 2 {
		_, err := e.Stream(t.Context(), js, orders)
		must(t, err)
		log := &committed{bodies: map[uint64]int{}}
		for i := range 3 {
			must(t, publish(t.Context(), e, js, log, i))
		}
		must(t, missing(t, disk.cut(t, data), log.copy()))
		must(t, js.DeleteStream(t.Context(), "ORDERS"))
	}
	must(t, e.Admit())
}
