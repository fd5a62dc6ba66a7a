package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// blocks are the files of one stream in the store of the embedded server, as nats-server 2.15 lays them out:
//
//	<stream>/meta.inf, meta.sum       configuration
//	<stream>/msgs/<n>.blk             records; only the highest n grows, the next one is n+1
//	<stream>/msgs/index.db            a cache of the above, checked by the server against the blocks
//	<stream>/obs/<consumer>/meta.*    configuration of a consumer, o.dat its cursor
//
// A block rolls when the next record does not fit: n is closed without a sync, n+1 is made. A compaction writes a
// replacement beside a block and renames it into place. A purge moves the newest block to a new folder and renames that
// to msgs. So a block is known by its inode, and every step is seen by looking at the names n and n+1.
type blocks struct {
	dir    string
	sync   syncFunc
	newest *os.File // opened as early as possible, so that a failed write-back is reported to it
	index  int
	known  map[int]identity // every block as it was when it was synced
	seen   mark             // of the last full scan
}

// mark tells whether a stream's folders are as they were. Times of files move in steps of some milliseconds, so that
// a mark taken right after a change proves nothing: settled is false then.
type mark struct {
	stream, msgs, obs time.Time
	settled           bool
}

// grain is more than the coarsest step of file times (10 ms at 100 Hz).
const grain = 25 * time.Millisecond

// syncError is a failed fsync or fdatasync: from here on nobody knows what is on the disk.
type syncError struct{ err error }

func (e *syncError) Error() string { return e.err.Error() }
func (e *syncError) Unwrap() error { return e.err }

func openBlocks(root, stream string, sync syncFunc) *blocks {
	return &blocks{dir: filepath.Join(root, stream), sync: sync, known: map[int]identity{}}
}

// commit makes all records durable that were written before the call. After an error the next one starts from nothing.
func (b *blocks) commit() error {
	err := b.advance()
	if err != nil {
		b.close()
	}
	return err
}

func (b *blocks) advance() error {
	if b.newest == nil {
		return b.scan()
	}
	rolled := false
	for {
		next, err := os.Open(b.block(b.index + 1))
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		// Only now is the old block final: a record may have come to it after the commit before.
		replaced, err := b.syncOpen(b.newest, b.index)
		if err == nil && replaced {
			err = b.syncNamed(b.index)
		}
		if err != nil {
			next.Close()
			return err
		}
		b.newest.Close()
		b.newest, b.index, rolled = next, b.index+1, true
	}
	replaced, err := b.syncOpen(b.newest, b.index)
	if err != nil {
		return err
	}
	if replaced {
		return b.scan()
	}
	if rolled {
		return b.syncFolders()
	}
	return nil
}

// syncOpen syncs the block and tells whether another file, or none, has its name by now.
func (b *blocks) syncOpen(file *os.File, index int) (replaced bool, err error) {
	before, err := file.Stat()
	if err != nil {
		return false, err
	}
	if err := b.sync(file, contentOnly); err != nil {
		return false, &syncError{err}
	}
	b.known[index] = identify(before)
	after, err := os.Lstat(b.block(index))
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return err == nil && !os.SameFile(before, after), err
}

// sweep scans only if a folder has changed since the last full scan.
func (b *blocks) sweep() error {
	now, err := b.mark()
	if err != nil {
		return err
	}
	if now == b.seen && now.settled {
		return nil
	}
	if err := b.scan(); err != nil {
		b.close()
		return err
	}
	return nil
}

// scan syncs every block that is not known, the metadata and the folders, and finds the newest block.
func (b *blocks) scan() error {
	seen, err := b.mark()
	if err != nil {
		return err
	}
	there, highest, err := b.list()
	if err != nil {
		return err
	}
	if b.newest != nil {
		delete(b.known, b.index) // it may have grown since it was synced
	}
	for index, found := range there {
		if index != highest && b.known[index] != found {
			if err := b.syncNamed(index); err != nil {
				return err
			}
		}
	}
	for index := range b.known {
		if _, ok := there[index]; !ok {
			delete(b.known, index)
		}
	}
	if err := b.hold(highest); err != nil {
		return err
	}
	if seen.stream != b.seen.stream || seen.obs != b.seen.obs || !b.seen.settled {
		if err := b.syncMeta(); err != nil {
			return err
		}
	}
	if err := b.syncFolders(); err != nil {
		return err
	}
	b.seen = seen
	return nil
}

// list reads the folder: the blocks that are there, and the highest index or 0.
func (b *blocks) list() (map[int]identity, int, error) {
	entries, err := os.ReadDir(filepath.Join(b.dir, "msgs"))
	if err != nil {
		return nil, 0, err
	}
	there, highest := map[int]identity{}, 0
	for _, entry := range entries {
		index, ok := blockIndex(entry.Name())
		if !ok {
			continue
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since: its messages are deleted
		}
		if err != nil {
			return nil, 0, err
		}
		there[index] = identify(info)
		highest = max(highest, index)
	}
	return there, highest, nil
}

// hold opens and syncs the newest block. A stream that has no block has had no message.
func (b *blocks) hold(index int) error {
	b.close()
	for index > 0 {
		file, err := os.Open(b.block(index))
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the next commit scans again
		}
		if err != nil {
			return err
		}
		replaced, err := b.syncOpen(file, index)
		if err == nil && !replaced {
			b.newest, b.index = file, index
			return nil
		}
		file.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// syncNamed syncs the file that has the block's name now.
func (b *blocks) syncNamed(index int) error {
	for {
		file, err := os.Open(b.block(index))
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		replaced, err := b.syncOpen(file, index)
		file.Close()
		if err != nil || !replaced {
			return err
		}
	}
}

// syncMeta syncs the configuration of the stream and its consumers, and the folders up to the store.
func (b *blocks) syncMeta() error {
	files, err := filepath.Glob(filepath.Join(b.dir, "obs", "*", "*"))
	if err != nil {
		return err
	}
	folders, err := filepath.Glob(filepath.Join(b.dir, "obs", "*"))
	if err != nil {
		return err
	}
	files = append(files, filepath.Join(b.dir, "meta.inf"), filepath.Join(b.dir, "meta.sum"))
	files = append(append(files, folders...), filepath.Join(b.dir, "obs"))
	for _, name := range files {
		if err := b.syncPath(name); err != nil {
			return err
		}
	}
	return nil
}

// syncFolders makes the names durable, from the blocks' up to the store's.
func (b *blocks) syncFolders() error {
	folder := filepath.Join(b.dir, "msgs")
	for range 6 { // msgs, <stream>, streams, $G, jetstream, the data folder
		if err := b.syncPath(folder); err != nil {
			return err
		}
		folder = filepath.Dir(folder)
	}
	return nil
}

// syncPath syncs a file or folder that may go away meanwhile.
func (b *blocks) syncPath(name string) error {
	file, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) || strings.HasSuffix(name, ".tmp") {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if err := b.sync(file, everything); err != nil {
		return &syncError{err}
	}
	return nil
}

// mark reads the times of the folders; the time of the stream's own folder moves when its configuration is replaced.
func (b *blocks) mark() (mark, error) {
	var m mark
	now := time.Now()
	m.settled = true
	for name, at := range map[string]*time.Time{"": &m.stream, "msgs": &m.msgs, "obs": &m.obs} {
		info, err := os.Lstat(filepath.Join(b.dir, name))
		if err != nil {
			return mark{}, err
		}
		*at = info.ModTime()
		m.settled = m.settled && now.Sub(*at).Abs() > grain
	}
	return m, nil
}

func (b *blocks) close() {
	if b.newest != nil {
		b.newest.Close()
		b.newest = nil
	}
}

func (b *blocks) block(index int) string {
	return filepath.Join(b.dir, "msgs", strconv.Itoa(index)+".blk")
}

func blockIndex(name string) (int, bool) {
	number, ok := strings.CutSuffix(name, ".blk")
	if !ok {
		return 0, false
	}
	index, err := strconv.Atoi(number)
	return index, err == nil && index > 0
}

// identity tells a file from one that replaced it, even when the inode number is used again.
type identity struct {
	inode   uint64
	size    int64
	changed time.Time
}

func identify(info fs.FileInfo) identity {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		panic(fmt.Sprintf("engine: no inode in %T", info.Sys()))
	}
	return identity{inode: stat.Ino, size: info.Size(), changed: info.ModTime()}
}
