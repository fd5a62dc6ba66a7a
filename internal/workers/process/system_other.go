//go:build !linux

package process

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

func socketpair() (ours, theirs int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	return fds[0], fds[1], err
}

func pipePair() (r, w int, err error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	var fds [2]int
	if err := syscall.Pipe(fds[:]); err != nil {
		return 0, 0, err
	}
	syscall.CloseOnExec(fds[0])
	syscall.CloseOnExec(fds[1])
	return fds[0], fds[1], unix.SetNonblock(fds[0], true)
}

// attributes put the process in a group of its own; without a death signal a worker notices the end of its socket.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

type handle struct{}

func openHandle(int) (handle, error) { return handle{}, errors.ErrUnsupported }

func (handle) signal(pid int, sig syscall.Signal) error { return unix.Kill(pid, sig) }
func (handle) wait()                                    {}
func (handle) close()                                   {}

func reap(int) (Exit, bool) { return Exit{Code: -1}, false }

// ZygotesWork tells whether this system can fork workers from a zygote.
const ZygotesWork = false

const rssUnit = 1 // ru_maxrss is in bytes
