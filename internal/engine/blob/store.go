// Package blob keeps content too large for a message: files named by their SHA-256, written once, never changed.
//
//	<folder>/ab/cdef…   content whose digest begins with ab
//	<folder>/.tmp/      uploads that are not complete; emptied at the start
package blob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// Options say how a store works; the zero value does not sync and admits everything.
type Options struct {
	// Sync makes a file durable before Put returns: the fdatasync of the platform. Nil: the file is only written.
	Sync func(*os.File) error
	// Admit is asked before an upload and during it; its error ends the upload.
	Admit func() error
}

// Store is a folder of blobs. Its methods may be called by many goroutines; one process at a time may have it open.
type Store struct {
	folder string
	opts   Options
	// names is held to link a file and to remove one, so that a sweep cannot take what a put has just found there.
	names   sync.Mutex
	buffers sync.Pool
}

const bufferSize = 256 << 10

// Open makes the folder if need be and removes what interrupted uploads left.
func Open(folder string, opts Options) (*Store, error) {
	if opts.Admit == nil {
		opts.Admit = func() error { return nil }
	}
	s := &Store{folder: folder, opts: opts}
	s.buffers.New = func() any { return new([bufferSize]byte) }
	if err := os.RemoveAll(s.temp()); err != nil {
		return nil, problem.New("HR5005", "blobs: %w", err).At(folder)
	}
	if err := os.MkdirAll(s.temp(), 0o700); err != nil {
		return nil, problem.New("HR5005", "blobs: %w", err).At(folder)
	}
	if err := s.syncFolder(filepath.Dir(folder)); err != nil {
		return nil, problem.New("HR5005", "blobs: %w", err).At(folder)
	}
	return s, nil
}

// Open opens the content for reading; HR5006 when it is not there.
func (s *Store) Open(digest Digest) (*os.File, Info, error) {
	name, err := s.name(digest)
	if err != nil {
		return nil, Info{}, err
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, Info{}, refuse(err, string(digest))
	}
	info, err := file.Stat()
	if err != nil {
		file.Close()
		return nil, Info{}, refuse(err, string(digest))
	}
	return file, infoOf(info), nil
}

// Path is the file of the content, which must not be written to; HR5006 when it is not there.
func (s *Store) Path(digest Digest) (string, error) {
	name, err := s.name(digest)
	if err != nil {
		return "", err
	}
	_, err = s.Stat(digest)
	return name, err
}

// Stat tells of a blob; HR5006 when it is not there.
func (s *Store) Stat(digest Digest) (Info, error) {
	name, err := s.name(digest)
	if err != nil {
		return Info{}, err
	}
	info, err := os.Lstat(name)
	if err != nil {
		return Info{}, refuse(err, string(digest))
	}
	return infoOf(info), nil
}

// Touch marks a blob as used now, so that no sweep takes it before its new user is known; HR5006 when it is not there.
func (s *Store) Touch(digest Digest) (Info, error) {
	name, err := s.name(digest)
	if err != nil {
		return Info{}, err
	}
	s.names.Lock()
	defer s.names.Unlock()
	if err := os.Chtimes(name, time.Time{}, time.Now()); err != nil {
		return Info{}, refuse(err, string(digest))
	}
	return s.Stat(digest)
}

// Delete removes a blob. Who has it open reads on. HR5006 when it is not there.
func (s *Store) Delete(digest Digest) error {
	name, err := s.name(digest)
	if err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	if err := os.Remove(name); err != nil {
		return refuse(err, string(digest))
	}
	return nil
}

func (s *Store) name(digest Digest) (string, error) {
	if _, err := ParseDigest(string(digest)); err != nil {
		return "", err
	}
	folder, file := digest.parts()
	return filepath.Join(s.folder, folder, file), nil
}

func (s *Store) temp() string { return filepath.Join(s.folder, ".tmp") }

func infoOf(info fs.FileInfo) Info { return Info{Size: info.Size(), Used: info.ModTime()} }

// refuse makes a problem of an error of the file system.
func refuse(err error, where string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New("HR5006", "blob is not there").At(where)
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT), errors.Is(err, syscall.EFBIG):
		return problem.New("HR5002", "blob has no room: %w", err).At(where)
	}
	return problem.New("HR5001", "blob: %w", err).At(where)
}
