package blob

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// Put stores what the reader gives, in constant memory; limit is the most bytes it may be, 0 for no limit. When Put fails
// nothing is left of it. Problems: HR1003 (larger than limit), HR5001 (cannot be made durable), HR5002 (no room), HR5007
// (not the announced digest). An error of the reader or of ctx is returned as it is.
func (s *Store) Put(ctx context.Context, from io.Reader, meta Meta, limit int64) (ref Ref, err error) {
	if err := s.opts.Admit(); err != nil {
		return Ref{}, err
	}
	file, err := os.CreateTemp(s.temp(), "put-")
	if err != nil {
		return Ref{}, refuse(err, meta.Name)
	}
	defer func() {
		file.Close()
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	size, digest, err := s.copy(ctx, file, from, meta, limit)
	if err != nil {
		return Ref{}, err
	}
	return s.keep(file, digest, size, meta)
}

// Adopt moves a file into the store. Whoever has the file open must not write to it any more. A file that cannot be moved,
// being on another disk or having a second name, is copied and removed. Problems as for Put; HR5006 when it is no file.
func (s *Store) Adopt(ctx context.Context, path string, meta Meta) (ref Ref, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Ref{}, problem.New("HR5006", "file cannot be adopted: %w", err).At(path)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Ref{}, refuse(err, path)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !info.Mode().IsRegular() || !ok {
		return Ref{}, problem.New("HR5006", "only a regular file can be adopted").At(path)
	}
	moved := filepath.Join(s.temp(), "adopt-"+rand.Text())
	if stat.Nlink > 1 || os.Rename(path, moved) != nil {
		if ref, err = s.Put(ctx, file, meta, 0); err == nil {
			_ = os.Remove(path)
		}
		return ref, err
	}
	own, err := os.OpenFile(moved, os.O_RDONLY, 0)
	if err != nil {
		return Ref{}, refuse(err, path)
	}
	defer func() {
		own.Close()
		if err != nil {
			_ = os.Rename(moved, path)
		}
	}()
	size, digest, err := s.copy(ctx, nil, own, meta, 0)
	if err != nil {
		return Ref{}, err
	}
	return s.keep(own, digest, size, meta)
}

// copy reads to the end, hashes, and writes to the file unless there is none.
func (s *Store) copy(ctx context.Context, to *os.File, from io.Reader, meta Meta, limit int64) (size int64, digest Digest, err error) {
	buffer := s.buffers.Get().(*[bufferSize]byte)
	defer s.buffers.Put(buffer)
	hash := sha256.New()
	for {
		n, end := from.Read(buffer[:])
		if size += int64(n); limit > 0 && size > limit {
			return 0, "", problem.New("HR1003", "blob is larger than %d bytes", limit).At(meta.Name)
		}
		hash.Write(buffer[:n])
		if to != nil && n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return 0, "", refuse(err, meta.Name)
			}
		}
		if errors.Is(end, io.EOF) {
			break
		}
		if end == nil {
			end = ctx.Err()
		}
		if end == nil {
			end = s.opts.Admit()
		}
		if end != nil {
			return 0, "", end
		}
	}
	digest = digestOf(hash.Sum(nil))
	if meta.Digest != "" && meta.Digest != digest {
		return 0, "", problem.New("HR5007", "blob has the digest %s, announced was %s", digest, meta.Digest).At(meta.Name)
	}
	return size, digest, nil
}

// keep makes the complete file durable and gives it the name of its digest. When the content is there already, that file
// is made as durable, because whoever put it may not have come to this yet, and this one is removed.
func (s *Store) keep(file *os.File, digest Digest, size int64, meta Meta) (Ref, error) {
	if err := s.sync(file); err != nil {
		return Ref{}, refuse(err, meta.Name)
	}
	if err := file.Chmod(0o400); err != nil {
		return Ref{}, refuse(err, meta.Name)
	}
	if err := s.link(file.Name(), digest); err != nil {
		return Ref{}, refuse(err, meta.Name)
	}
	folder, _ := digest.parts()
	for _, name := range []string{filepath.Join(s.folder, folder), s.folder} {
		if err := s.syncFolder(name); err != nil {
			return Ref{}, refuse(err, meta.Name)
		}
	}
	return Ref{Digest: digest, Size: size, Type: meta.Type, Name: meta.Name}, nil
}

// link renames the file unless the content is there.
func (s *Store) link(file string, digest Digest) error {
	name, err := s.name(digest)
	if err != nil {
		return err
	}
	s.names.Lock()
	defer s.names.Unlock()
	present, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			return err
		}
		now := time.Now() // an adopted file may be old; a sweep must not take it for unused
		if err := os.Chtimes(file, now, now); err != nil {
			return err
		}
		return os.Rename(file, name)
	}
	if err != nil {
		return err
	}
	defer present.Close()
	if err := s.sync(present); err != nil {
		return err
	}
	if err := os.Chtimes(name, time.Time{}, time.Now()); err != nil {
		return err
	}
	return os.Remove(file)
}

func (s *Store) sync(file *os.File) error {
	if s.opts.Sync == nil {
		return nil
	}
	return s.opts.Sync(file)
}

func (s *Store) syncFolder(name string) error {
	if s.opts.Sync == nil {
		return nil
	}
	folder, err := os.Open(name)
	if err != nil {
		return err
	}
	defer folder.Close()
	return folder.Sync()
}
