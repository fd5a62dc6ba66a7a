//go:build unix && !(linux && (amd64 || arm64))

package upstream

import "golang.org/x/sys/unix"

// quietSocket tells whether the socket is open and has no bytes to read.
func (k *conn) quietSocket(fd uintptr) bool {
	k.ready.one[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	n, err := unix.Poll(k.ready.one[:], 0)
	return n == 0 && err == nil
}

// peeked is where quietSocket puts what it sees.
type peeked = [1]unix.PollFd
