package blob

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Swept is what a sweep removed.
type Swept struct {
	Blobs int
	Bytes int64
}

// Sweep removes the blobs that keep does not want and that were neither put nor touched for olderThan, which must be longer
// than it takes from a put until keep knows of its use. It may run beside everything else.
func (s *Store) Sweep(keep func(Digest) bool, olderThan time.Duration) (Swept, error) {
	var swept Swept
	before := time.Now().Add(-olderThan)
	folders, err := os.ReadDir(s.folder)
	if err != nil {
		return swept, refuse(err, s.folder)
	}
	for _, folder := range folders {
		files, err := os.ReadDir(filepath.Join(s.folder, folder.Name()))
		if err != nil {
			continue // no folder of blobs
		}
		for _, file := range files {
			digest, ok := fromParts(folder.Name(), file.Name())
			if !ok || keep(digest) {
				continue
			}
			size, err := s.removeUnused(digest, before)
			if err != nil {
				return swept, err
			}
			if size >= 0 {
				swept.Blobs++
				swept.Bytes += size
			}
		}
	}
	return swept, nil
}

// removeUnused returns the bytes of what it removed, or -1.
func (s *Store) removeUnused(digest Digest, before time.Time) (int64, error) {
	name, err := s.name(digest)
	if err != nil {
		return -1, err
	}
	s.names.Lock()
	defer s.names.Unlock()
	info, err := os.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return -1, refuse(err, string(digest))
	}
	if !info.ModTime().Before(before) {
		return -1, nil
	}
	if err := os.Remove(name); err != nil {
		return -1, refuse(err, string(digest))
	}
	return info.Size(), nil
}
