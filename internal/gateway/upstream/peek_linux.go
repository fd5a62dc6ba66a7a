//go:build linux && (amd64 || arm64)

package upstream

import (
	"syscall"
	"unsafe"
)

// quietSocket tells whether the socket is open and has no bytes to read. It peeks, which takes three quarters of the time of a poll;
// the wrapper of recvfrom would allocate an address.
func (k *conn) quietSocket(fd uintptr) bool {
	_, _, err := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(&k.ready.one)), 1, syscall.MSG_PEEK|syscall.MSG_DONTWAIT, 0, 0)
	return err == syscall.EAGAIN
}

// peeked is where quietSocket puts what it sees.
type peeked = byte
