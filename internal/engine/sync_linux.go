package engine

import (
	"os"

	"golang.org/x/sys/unix"
)

func fdatasync(file *os.File) error {
	for {
		if err := unix.Fdatasync(int(file.Fd())); err != unix.EINTR {
			return err
		}
	}
}
