//go:build unix && (!linux || race)

package direct

import "syscall"

// The race detector learns from the calls of the standard library that what was done before a write comes before what is done after the read.

// Read reads what is there.
func Read(fd uintptr, p []byte) (int, error) { return syscall.Read(int(fd), p) }

// Write writes what the socket takes.
func Write(fd uintptr, p []byte) (int, error) { return syscall.Write(int(fd), p) }
