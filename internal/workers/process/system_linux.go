package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

func socketpair() (ours, theirs int, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	return fds[0], fds[1], err
}

func pipePair() (r, w int, err error) {
	var fds [2]int
	if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
		return 0, 0, err
	}
	return fds[0], fds[1], unix.SetNonblock(fds[0], true)
}

// attributes put the process in a group of its own and let it die with the thread that starts it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// handle is a pidfd.
type handle struct{ file *os.File }

func openHandle(pid int) (handle, error) {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return handle{}, err
	}
	return handle{os.NewFile(uintptr(fd), "pidfd")}, nil
}

func (h handle) signal(pid int, sig syscall.Signal) error {
	if h.file == nil {
		return unix.Kill(pid, sig)
	}
	raw, err := h.file.SyscallConn()
	if err != nil {
		return err
	}
	sent := os.ErrProcessDone
	_ = raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), sig, nil, 0) })
	return sent
}

// wait blocks until the process has ended or the handle is closed.
func (h handle) wait() {
	raw, err := h.file.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Read(func(fd uintptr) bool {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(poll, 0)
		return n > 0
	})
}

func (h handle) close() {
	if h.file != nil {
		_ = h.file.Close()
	}
}

// reap collects an orphan that became our own child, which happens where headrace is process 1 of a container.
func reap(pid int) (Exit, bool) {
	var status unix.WaitStatus
	var usage unix.Rusage
	got, err := unix.Wait4(pid, &status, unix.WNOHANG, &usage)
	if err != nil || got != pid {
		return Exit{Code: -1}, false
	}
	exit := Exit{Code: status.ExitStatus(), MaxRSS: usage.Maxrss << 10}
	if status.Signaled() {
		exit.Code, exit.Signal = -1, status.Signal()
	}
	return exit, true
}

// ZygotesWork tells whether this system can fork workers from a zygote.
const ZygotesWork = true

const rssUnit = 1 << 10 // ru_maxrss is in KiB
