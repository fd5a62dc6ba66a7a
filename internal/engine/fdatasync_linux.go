package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

// fdatasync makes the content of the file durable, with the length, without its times.
func fdatasync(file *os.File) error {
	for {
		if err := unix.Fdatasync(int(file.Fd())); err != unix.EINTR {
			return err
		}
	}
}
