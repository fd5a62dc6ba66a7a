package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/problem"
)

// format is the version of the layout of the data folder. Raise it when an older binary could no longer read the folder.
const format = 1

// folder is the data folder, held by this process alone until close.
type folder struct {
	path string
	lock *os.File
}

// openFolder creates the folder if need be (0700), locks it and checks its format: HR5003 when another process holds it,
// HR5004 when a newer version wrote it, which leaves it as it was.
func openFolder(path string) (*folder, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, problem.New("HR5005", "data folder: %w", err)
	}
	if err := makeFolder(path); err != nil {
		return nil, problem.New("HR5005", "data folder: %w", err).Hinting("make the folder, or choose another engine.data")
	}
	// The version comes first: a folder of the future may use its lock file differently.
	fresh, err := checkFormat(path)
	if err != nil {
		return nil, err
	}
	lock, err := lockFolder(path)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, lock: lock}
	if fresh {
		if err := writeSynced(f.join("format"), []byte(strconv.Itoa(format)+"\n")); err != nil {
			f.close()
			return nil, problem.New("HR5005", "data folder: %w", err).At(path)
		}
	}
	return f, nil
}

func (f *folder) join(names ...string) string {
	return filepath.Join(append([]string{f.path}, names...)...)
}

// close lets go of the lock. The file stays: removing it would let two processes hold locks on two files of one name.
func (f *folder) close() { _ = f.lock.Close() }

// makeFolder makes the folder and what is missing above it, durably.
func makeFolder(path string) error {
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return nil
	}
	parent := filepath.Dir(path)
	if err == nil || parent == path {
		return &fs.PathError{Op: "mkdir", Path: path, Err: unix.ENOTDIR}
	}
	if err := makeFolder(parent); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func checkFormat(path string) (fresh bool, err error) {
	text, err := os.ReadFile(filepath.Join(path, "format"))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, problem.New("HR5005", "data folder: %w", err).At(path)
	}
	found, err := strconv.Atoi(strings.TrimSpace(string(text)))
	switch {
	case err != nil:
		return false, problem.New("HR5005", "the format file of the data folder holds %q, not a number", text).At(path).
			Hinting("restore the folder from a backup, or choose another engine.data")
	case found > format:
		return false, problem.New("HR5004", "data folder has format %d, this headrace knows up to %d", found, format).At(path)
	}
	return false, nil
}

func lockFolder(path string) (*os.File, error) {
	name := filepath.Join(path, "lock")
	lock, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, problem.New("HR5005", "data folder: %w", err).At(path)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer lock.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, problem.New("HR5005", "data folder cannot be locked: %w", err).At(path).
				Hinting("keep engine.data on a local disk")
		}
		holder := "another process"
		if text, err := os.ReadFile(name); err == nil && len(text) > 0 {
			holder = "process " + strings.TrimSpace(string(text))
		}
		return nil, problem.New("HR5003", "data folder is held by %s", holder).At(path)
	}
	// The number is for people: the lock itself is what counts, and it goes with the process.
	if err := lock.Truncate(0); err == nil {
		_, err = fmt.Fprintf(lock, "%d\n", os.Getpid())
	}
	if err != nil {
		lock.Close()
		return nil, problem.New("HR5005", "data folder: %w", err).At(path)
	}
	return lock, nil
}

// writeSynced replaces a small file so that after a power cut either the old or the new content is there.
func writeSynced(name string, content []byte) error {
	tmp := name + ".tmp"
	file, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(tmp, name)
	}
	if err != nil {
		_ = os.Remove(tmp)
		return err
	}
	return syncDir(filepath.Dir(name))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Sync()
}
