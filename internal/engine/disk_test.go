package engine

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
)

// disk records what was synced, and can make the folder that a power cut would leave: files have the length they had when
// they were synced last, names that were not synced are gone, and files that were never synced are empty.
type disk struct {
	mu      sync.Mutex
	lengths map[uint64]int64           // by inode
	names   map[uint64]map[string]bool // by inode of the folder
}

func newDisk() *disk {
	return &disk{lengths: map[uint64]int64{}, names: map[uint64]map[string]bool{}}
}

// sync is a syncFunc. What is recorded was read before the sync.
func (d *disk) sync(file *os.File, what extent) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	names := map[string]bool{}
	if info.IsDir() {
		entries, err := os.ReadDir(file.Name())
		if err != nil {
			return err
		}
		for _, entry := range entries {
			names[entry.Name()] = true
		}
	}
	if err := syncFile(file, what); err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if info.IsDir() {
		d.names[number(info)] = names
	} else {
		d.lengths[number(info)] = info.Size()
	}
	return nil
}

func number(info fs.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }

// cut copies what would be left of the data folder.
func (d *disk) cut(t *testing.T, data string) string {
	t.Helper()
	left := t.TempDir()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.copy(t, data, left)
	return left
}

func (d *disk) copy(t *testing.T, from, to string) {
	info, err := os.Lstat(from)
	must(t, err)
	durable := d.names[number(info)]
	entries, err := os.ReadDir(from)
	must(t, err)
	for _, entry := range entries {
		if !durable[entry.Name()] {
			continue
		}
		source, target := filepath.Join(from, entry.Name()), filepath.Join(to, entry.Name())
		info, err := os.Lstat(source)
		if os.IsNotExist(err) {
			continue
		}
		must(t, err)
		if entry.Name() == "format" || entry.Name() == "lock" {
			continue // synced by the folder itself, and made again
		}
		if info.IsDir() {
			must(t, os.Mkdir(target, 0o700))
			d.copy(t, source, target)
			continue
		}
		content, err := os.ReadFile(source)
		must(t, err)
		must(t, os.WriteFile(target, content[:min(d.lengths[number(info)], int64(len(content)))], 0o600))
	}
}
