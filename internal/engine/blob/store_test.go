package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

func open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "blobs"), Options{Sync: (*os.File).Sync})
	must(t, err)
	return s
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, want string) {
	t.Helper()
	var p *problem.Error
	if !errors.As(err, &p) || p.Code != want {
		t.Fatalf("got %v, want %s", err, want)
	}
}

// files lists what is in the store, uploads too.
func files(t *testing.T, s *Store) []string {
	t.Helper()
	var names []string
	must(t, filepath.WalkDir(s.folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names = append(names, path)
		}
		return err
	}))
	return names
}

func TestPutOpen(t *testing.T) {
	s := open(t)
	ref, err := s.Put(t.Context(), strings.NewReader("hello"), Meta{Type: "text/plain", Name: "a.txt"}, 5)
	must(t, err)
	text, err := json.Marshal(ref)
	must(t, err)
	want := `{"$blob":"sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","size":5,"type":"text/plain","name":"a.txt"}`
	if string(text) != want {
		t.Fatalf("%s", text)
	}
	file, info, err := s.Open(ref.Digest)
	must(t, err)
	defer file.Close()
	content, err := io.ReadAll(file)
	must(t, err)
	if string(content) != "hello" || info.Size != 5 {
		t.Fatalf("%q %+v", content, info)
	}
	path, err := s.Path(ref.Digest)
	must(t, err)
	if want := filepath.Join(s.folder, "2c", string(ref.Digest[9:])); path != want {
		t.Fatalf("%s, want %s", path, want)
	}
	must(t, s.Delete(ref.Digest))
	_, _, err = s.Open(ref.Digest)
	wantCode(t, err, "HR5006")
	wantCode(t, s.Delete(ref.Digest), "HR5006")
	_, err = s.Path(ref.Digest)
	wantCode(t, err, "HR5006")
	_, err = s.Touch(ref.Digest)
	wantCode(t, err, "HR5006")
}

func TestPutLeavesNothingWhenItFails(t *testing.T) {
	cut := io.MultiReader(strings.NewReader("half"), errReader{})
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	full := problem.New("HR5002", "full")
	for name, test := range map[string]struct {
		put  func(*Store) error
		code string
	}{
		"too large": {func(s *Store) error { _, err := s.Put(t.Context(), strings.NewReader("123456"), Meta{}, 5); return err }, "HR1003"},
		"other digest": {func(s *Store) error {
			_, err := s.Put(t.Context(), strings.NewReader("x"), Meta{Digest: digestOf(make([]byte, 32))}, 0)
			return err
		}, "HR5007"},
		"cut":   {func(s *Store) error { _, err := s.Put(t.Context(), cut, Meta{}, 0); return err }, ""},
		"ended": {func(s *Store) error { _, err := s.Put(ended, strings.NewReader("x"), Meta{}, 0); return err }, ""},
		"refused": {func(s *Store) error {
			s.opts.Admit = func() error { return full }
			_, err := s.Put(t.Context(), strings.NewReader("x"), Meta{}, 0)
			return err
		}, "HR5002"},
		"failed sync": {func(s *Store) error {
			s.opts.Sync = func(*os.File) error { return syscall.EIO }
			_, err := s.Put(t.Context(), strings.NewReader("x"), Meta{}, 0)
			return err
		}, "HR5001"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			err := test.put(s)
			if test.code == "" && err == nil {
				t.Fatal("no error")
			}
			if test.code != "" {
				wantCode(t, err, test.code)
			}
			if left := files(t, s); len(left) != 0 {
				t.Fatal(left)
			}
		})
	}
}

type errReader struct{}

func (errReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestOpenRemovesInterruptedUploads(t *testing.T) {
	s := open(t)
	must(t, os.WriteFile(filepath.Join(s.temp(), "put-1"), []byte("half"), 0o600))
	again, err := Open(s.folder, s.opts)
	must(t, err)
	if left := files(t, again); len(left) != 0 {
		t.Fatal(left)
	}
}

func TestEqualContentIsStoredOnce(t *testing.T) {
	s := open(t)
	content := bytes.Repeat([]byte("0123456789"), 100_000)
	var puts sync.WaitGroup
	for range 16 {
		puts.Go(func() {
			if _, err := s.Put(t.Context(), bytes.NewReader(content), Meta{}, 0); err != nil {
				t.Error(err)
			}
		})
	}
	puts.Wait()
	if there := files(t, s); len(there) != 1 {
		t.Fatal(there)
	}
}

func TestAdopt(t *testing.T) {
	s := open(t)
	for name, prepare := range map[string]func(path string){
		"moved":       func(string) {},
		"second name": func(path string) { must(t, os.Link(path, path+".2")) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "result.csv")
			must(t, os.WriteFile(path, []byte(name), 0o600))
			must(t, os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0)))
			prepare(path)
			ref, err := s.Adopt(t.Context(), path, Meta{Name: "result.csv"})
			must(t, err)
			sum := sha256.Sum256([]byte(name))
			if ref.Digest != digestOf(sum[:]) || ref.Size != int64(len(name)) {
				t.Fatalf("%+v", ref)
			}
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Fatal("file is still there")
			}
			if info, err := s.Stat(ref.Digest); err != nil || time.Since(info.Used) > time.Minute {
				t.Fatalf("%+v %v", info, err)
			}
		})
	}
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink("/etc/hostname", link))
	_, err := s.Adopt(t.Context(), link, Meta{})
	wantCode(t, err, "HR5006")
	_, err = s.Adopt(t.Context(), t.TempDir(), Meta{})
	wantCode(t, err, "HR5006")
	refused := filepath.Join(t.TempDir(), "refused")
	must(t, os.WriteFile(refused, []byte("x"), 0o600))
	_, err = s.Adopt(t.Context(), refused, Meta{Digest: digestOf(make([]byte, 32))})
	wantCode(t, err, "HR5007")
	if _, err := os.Stat(refused); err != nil {
		t.Fatal("a refused file was taken:", err)
	}
}

func TestSweep(t *testing.T) {
	s := open(t)
	put := func(text string, age time.Duration) Digest {
		ref, err := s.Put(t.Context(), strings.NewReader(text), Meta{}, 0)
		must(t, err)
		path, err := s.Path(ref.Digest)
		must(t, err)
		at := time.Now().Add(-age)
		must(t, os.Chtimes(path, at, at))
		return ref.Digest
	}
	kept, fresh, old, again := put("kept", time.Hour), put("fresh", 0), put("old", time.Hour), put("again", time.Hour)
	_, err := s.Touch(again)
	must(t, err)
	swept, err := s.Sweep(func(d Digest) bool { return d == kept }, time.Minute)
	must(t, err)
	if swept != (Swept{Blobs: 1, Bytes: 3}) {
		t.Fatalf("%+v", swept)
	}
	for _, digest := range []Digest{kept, fresh, again} {
		_, err := s.Stat(digest)
		must(t, err)
	}
	_, err = s.Stat(old)
	wantCode(t, err, "HR5006")
}

// A sweep beside puts must never take what a put has returned.
func TestSweepBesidePut(t *testing.T) {
	s := open(t)
	s.opts.Sync = nil
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 300 {
			if _, err := s.Sweep(func(Digest) bool { return false }, time.Minute); err != nil {
				t.Error(err)
			}
		}
	}()
	for {
		ref, err := s.Put(t.Context(), strings.NewReader("same"), Meta{}, 0)
		must(t, err)
		path, err := s.Path(ref.Digest)
		must(t, err)
		must(t, os.Chtimes(path, time.Unix(0, 0), time.Unix(0, 0))) // old: the sweep may take it until the next put
		if ref, err = s.Put(t.Context(), strings.NewReader("same"), Meta{}, 0); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Stat(ref.Digest); err != nil {
			t.Fatal("swept under a put:", err)
		}
		select {
		case <-done:
			return
		default:
		}
	}
}

func TestPutInConstantMemory(t *testing.T) {
	s := open(t)
	before := heap()
	ref, err := s.Put(t.Context(), io.LimitReader(pattern{}, 100<<20), Meta{}, 0)
	must(t, err)
	if grown := int64(heap()) - int64(before); grown > 4<<20 || ref.Size != 100<<20 {
		t.Fatalf("%d bytes more were allocated for a blob of %d", grown, ref.Size)
	}
}

// heap is the sum of all that was ever allocated: a buffer that grew and was freed counts too.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.TotalAlloc
}

type pattern struct{}

func (pattern) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestNoRoom runs itself in a process that may write no more than 1 MiB to a file, as on a disk that is full.
func TestNoRoom(t *testing.T) {
	const child = "BLOB_TEST_NO_ROOM"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoRoom$")
		cmd.Env = append(os.Environ(), child+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	must(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: 1 << 20, Max: 1 << 20}))
	s := open(t)
	_, err := s.Put(t.Context(), io.LimitReader(pattern{}, 2<<20), Meta{}, 0)
	wantCode(t, err, "HR5002")
	if left := files(t, s); len(left) != 0 {
		t.Fatal(left)
	}
	_, err = s.Put(t.Context(), strings.NewReader("small"), Meta{}, 0)
	must(t, err)
}

func FuzzParseDigest(f *testing.F) {
	f.Add(string(digestOf(make([]byte, 32))))
	f.Add("sha256:../../etc/passwd")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		digest, err := ParseDigest(text)
		if err != nil {
			return
		}
		folder, file := digest.parts()
		if back, ok := fromParts(folder, file); !ok || back != digest || filepath.Base(file) != file || filepath.Base(folder) != folder {
			t.Fatalf("%q became %q and %q", text, folder, file)
		}
	})
}
