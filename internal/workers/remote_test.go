package workers

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// shelf keeps blobs in memory.
type shelf struct {
	mu    sync.Mutex
	blobs map[string][]byte
}

func (s *shelf) Open(digest string) (io.ReadCloser, int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[digest]
	if !ok {
		return nil, 0, problem.New("HR5006", "there is no blob %s", digest)
	}
	return io.NopCloser(bytes.NewReader(b)), int64(len(b)), nil
}

func (s *shelf) Put(r io.Reader, _, _ string) (string, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	digest := "sha256:" + hex.EncodeToString(sum[:])
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[digest] = b
	return digest, nil
}

// far opens a pool without local workers, a door, and an agent that keeps one worker for it.
func far(t *testing.T, cfg Config) (p *Pool, l *Listener, blobs *shelf, hangUp func() error) {
	t.Helper()
	p, _ = open(t, Config{Name: "far", Remote: true, CancelGrace: 400 * time.Millisecond, Grace: time.Second})
	blobs = &shelf{blobs: map[string][]byte{}}
	folder := t.TempDir()
	find := func(name string) *Pool {
		if name == "far" {
			return p
		}
		return nil
	}
	l, err := Listen("127.0.0.1:0", folder, find, blobs, quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	cfg.Name, cfg.App, cfg.Runtime, cfg.Zygote = "far", "testdata/app.py", sdk(t), true
	go func() { ended <- Connect(ctx, l.Addr().String(), TokenFile(folder), cfg, &watcher{}, quiet()) }()
	hangUp = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := hangUp(); err != nil {
			t.Error(err)
		}
		stopping, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := l.Stop(stopping); err != nil {
			t.Error(err)
		}
	})
	until(t, "a remote worker", func() bool {
		select {
		case err := <-ended:
			t.Fatal(err)
		default:
		}
		return len(p.Functions()) > 0
	})
	return p, l, blobs, hangUp
}

func TestRemoteStoppingGivesBack(t *testing.T) {
	p, _, _, hangUp := far(t, Config{Grace: time.Hour})
	r, _ := run(t, p, "willing", `{}`)
	r.wait(r.progressed, "progress")
	if err := hangUp(); err != nil { // the agent drains
		t.Error(err)
	}
	if o := r.end(); o.Ending != Interrupted || r.checkpoint != `{"cancelled":false}` {
		t.Errorf("%+v %+v %s", o, o.Error, r.checkpoint)
	}
}

func TestRemote(t *testing.T) {
	p, _, blobs, hangUp := far(t, Config{MaxMemory: 200 << 20, WatchEvery: 10 * time.Millisecond, Grace: time.Second})
	r, _ := run(t, p, "add", `{"a":40,"b":2}`)
	if o := r.end(); o.Ending != Succeeded || string(o.Result) != "42" {
		t.Fatalf("%+v", o)
	}
	r, _ = run(t, p, "speak", `{"words":["hello"]}`)
	if r.end(); !strings.Contains(strings.Join(r.logs, "\n"), "stdout: hello") || !strings.Contains(strings.Join(r.logs, "\n"), "raw") {
		t.Errorf("%q", r.logs)
	}
	for _, c := range []struct {
		function string
		want     Ending
	}{{"polite", Succeeded}, {"spin", Cancelled}, {"stubborn", Cancelled}, {"deaf", Cancelled}} {
		r, run := run(t, p, c.function, `{}`)
		r.wait(r.progressed, "progress")
		run.Cancel("cancelled")
		if o := r.end(); o.Ending != c.want || (o.Death != nil) != (c.function == "deaf") {
			t.Fatalf("%s: %+v %+v", c.function, o, o.Death)
		}
	}
	r, _ = run(t, p, "leave", `{"code":7}`)
	if o := r.end(); o.Ending != Crashed || o.Death.ExitCode != 7 || o.Death.Reason != "exit" {
		t.Errorf("%+v %+v", o, o.Death)
	}
	r, _ = run(t, p, "eat", `{"megabytes":4000}`)
	if o := r.end(); o.Ending != Crashed || o.Death.Reason != "out_of_memory" {
		t.Errorf("%+v %+v", o, o.Death)
	}

	digest, _ := blobs.Put(strings.NewReader("quiet"), "text/plain", "quiet.txt")
	args := fmt.Sprintf(`{"text":{"$blob":%q,"path":"/of/the/server","size":5,"type":"text/plain","name":"quiet.txt"}}`, digest)
	r, _ = run(t, p, "shout", args)
	o := r.end()
	var blob struct {
		Digest string `json:"$blob"`
	}
	if err := json.Unmarshal(o.Result, &blob); err != nil {
		t.Fatalf("%+v %+v", o, o.Error)
	}
	if got := string(blobs.blobs[blob.Digest]); got != "QUIET" {
		t.Errorf("the blob that came back is %q", got)
	}
	r, _ = run(t, p, "shout", strings.ReplaceAll(args, digest, "sha256:"+strings.Repeat("0", 64)))
	if o := r.end(); o.Ending != Failed || o.Error.Type != "HR5006" {
		t.Errorf("%+v", o)
	}

	r, _ = run(t, p, "nap", `{"seconds":0.3}`)
	r.wait(r.progressed, "progress")
	if err := hangUp(); err != nil { // the agent drains
		t.Error(err)
	}
	if o := r.end(); o.Ending != Succeeded {
		t.Errorf("%+v", o)
	}
	until(t, "no worker", func() bool { return len(p.Status().Workers) == 0 })
}

func TestRemoteConnectionLost(t *testing.T) {
	p, l, _, _ := far(t, Config{})
	r, _ := run(t, p, "nap", `{"seconds":600}`)
	r.wait(r.progressed, "progress")
	l.mu.Lock()
	for c := range l.conns {
		_ = c.Close()
	}
	l.mu.Unlock()
	if o := r.end(); o.Ending != Crashed || o.Death.Reason != "lost" {
		t.Errorf("%+v %+v", o, o.Death)
	}
	r, _ = run(t, p, "add", `{"a":1,"b":1}`)
	if o := r.end(); o.Ending != Succeeded {
		t.Errorf("after it came back: %+v", o)
	}
}

func TestRemoteRefused(t *testing.T) {
	_, l, _, _ := far(t, Config{})
	other := l.token
	other.secret = strings.Repeat("x", 43)
	impostor := l.token
	impostor.fingerprint[0]++
	for _, c := range []struct {
		name, pool, code string
		token            token
	}{{"secret", "far", "HR6007", other}, {"certificate", "far", "HR6007", impostor}, {"pool", "near", "HR6008", l.token}} {
		t.Run(c.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "token")
			if err := os.WriteFile(file, []byte(c.token.String()), 0o600); err != nil {
				t.Fatal(err)
			}
			err := Connect(context.Background(), l.Addr().String(), file, Config{Name: c.pool, App: "testdata/app.py", Runtime: sdk(t)}, &watcher{}, quiet())
			if got := problem.From(err); err == nil || got.Code != c.code {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestTokenFileIsKept(t *testing.T) {
	folder := t.TempDir()
	_, first, err := identity(folder)
	if err != nil {
		t.Fatal(err)
	}
	_, second, err := identity(folder)
	if err != nil || second != first {
		t.Errorf("%v %v %v", first, second, err)
	}
	if info, err := os.Stat(TokenFile(folder)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
}

func FuzzPreface(f *testing.F) {
	f.Add(preface{"worker", "secret", []string{"a pool", "näme"}}.String())
	f.Add("headrace/1 get x sha256%3Aab\n")
	f.Fuzz(func(t *testing.T, s string) {
		line, err := readLine(strings.NewReader(s))
		if err != nil {
			return
		}
		p, err := parsePreface(line)
		if err != nil {
			return
		}
		again, err := parsePreface(strings.TrimSuffix(p.String(), "\n"))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(p) {
			t.Errorf("%q became %q, %v", p, again, err)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add(token{secret: strings.Repeat("s", 43)}.String())
	f.Fuzz(func(t *testing.T, s string) {
		parsed, err := parseToken(s)
		if err != nil {
			return
		}
		if again, err := parseToken(parsed.String()); err != nil || again != parsed {
			t.Errorf("%v became %v, %v", parsed, again, err)
		}
	})
}
