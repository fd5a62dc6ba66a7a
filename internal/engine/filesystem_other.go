//go:build !linux

package engine

import "golang.org/x/sys/unix"

func fileSystem(fs unix.Statfs_t) string { return unix.ByteSliceToString(fs.Fstypename[:]) }
