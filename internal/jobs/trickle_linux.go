package jobs

import (
	"os"

	"golang.org/x/sys/unix"
)

// trickle has the system begin to write what it holds of a file, and waits for nothing.
func trickle(path string) {
	f, err := os.Open(path)
	if err != nil {
		return // it is not there, or the next write will tell
	}
	defer f.Close()
	_ = unix.SyncFileRange(int(f.Fd()), 0, 0, unix.SYNC_FILE_RANGE_WRITE) // where this is not supported, pages are written when the system likes
}
