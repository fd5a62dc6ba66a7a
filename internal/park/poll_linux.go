package park

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batch is how many events are taken at once. The poller lets others run after each, so that a burst does not pile tasks up.
const batch = 128

// poller is an epoll instance and the goroutine that asks it. The instance is itself watched by Go's netpoller, so waiting holds no
// thread and no processor.
type poller struct {
	fd      int
	file    *os.File
	stopped atomic.Bool
}

func newPoller(e *Engine) (*poller, error) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else os would not give it to the netpoller
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poller{fd: fd, file: os.NewFile(uintptr(fd), "epoll")}
	raw, err := p.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	go p.run(e, raw)
	return p, nil
}

func (p *poller) run(e *Engine, raw syscall.RawConn) {
	events := make([]unix.EpollEvent, batch)
	conns := make([]*Conn, batch)
	tasks := make([]task, 0, 2*batch)
	err := raw.Read(func(fd uintptr) bool {
		for {
			n := poll(int(fd), events)
			if n == 0 {
				return false
			}
			e.find(events[:n], conns)
			for i, c := range conns[:n] {
				if c == nil {
					continue
				}
				bits := events[i].Events
				tasks = c.ready(bits&unix.EPOLLIN != 0, bits&unix.EPOLLOUT != 0,
					bits&(unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0, tasks)
				conns[i] = nil
			}
			if len(tasks) > 0 {
				e.crew.add(tasks...)
				clear(tasks)
				tasks = tasks[:0]
			}
			if n == batch {
				runtime.Gosched()
			}
		}
	})
	if !p.stopped.Load() {
		e.log.Error("parked connections are not watched any more", "error", err)
	}
}

// find turns events into connections; those of a socket that is closed, or of an earlier one with its number, give nil.
func (e *Engine) find(events []unix.EpollEvent, conns []*Conn) {
	e.mu.RLock()
	defer e.mu.RUnlock()
	for i := range events {
		conns[i] = nil
		if fd := int(events[i].Fd); fd < len(e.conns) {
			if c := e.conns[fd]; c != nil && c.generation == uint32(events[i].Pad) {
				conns[i] = c
			}
		}
	}
}

func (p *poller) stop() {
	p.stopped.Store(true)
	p.file.Close()
}

func (c *Conn) poller() *poller { return c.engine.pollers[int(c.fd)%len(c.engine.pollers)] }

const watched = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLET

func (p *poller) watch(c *Conn) error {
	event := unix.EpollEvent{Events: watched & 0xffffffff, Fd: c.fd, Pad: int32(c.generation)}
	return os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, unix.EPOLL_CTL_ADD, int(c.fd), &event))
}

// want asks for an event when the socket takes bytes again, or no longer does. It is called with c.mu held and kills c if it fails.
func (p *poller) want(c *Conn, out bool) error {
	event := unix.EpollEvent{Events: watched & 0xffffffff, Fd: c.fd, Pad: int32(c.generation)}
	if out {
		event.Events |= unix.EPOLLOUT
	}
	err := os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.fd, unix.EPOLL_CTL_MOD, int(c.fd), &event))
	if err != nil {
		c.kill(err)
	}
	return err
}

// release watches a socket no more and duplicates it for Go's own netpoller.
func (p *poller) release(fd int) (net.Conn, error) {
	twin, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(twin), "connection")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	if err := unix.EpollCtl(p.fd, unix.EPOLL_CTL_DEL, fd, nil); err != nil {
		_ = conn.Close()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return conn, nil
}

// takeOver duplicates the socket of a plain connection.
func takeOver(c net.Conn) (int, error) {
	socket, ok := c.(syscall.Conn) // that of TLS is none
	if !ok {
		return 0, errNoSocket
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	fd := -1
	var failed error
	if err := raw.Control(func(old uintptr) {
		fd, failed = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return 0, err
	}
	if errors.Is(failed, unix.EMFILE) {
		return 0, fmt.Errorf("the limit of open files is reached, raise it (ulimit -n, LimitNOFILE): %w", failed)
	}
	return fd, os.NewSyscallError("fcntl", failed)
}

// The calls below never block: the sockets are non-blocking. RawSyscall spares the scheduler's book-keeping around each.

func poll(fd int, events []unix.EpollEvent) int {
	for {
		n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(fd), uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		if errno == 0 {
			return int(n)
		}
		if errno != unix.EINTR {
			return 0
		}
	}
}

func sysRead(fd int, b []byte) (int, error) {
	for {
		n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// brief is how many bytes the kernel may copy while the scheduler believes that Go code runs.
const brief = 64 << 10

func sysWrite(fd int, b []byte) (int, error) {
	send := unix.RawSyscall6
	if len(b) > brief {
		send = unix.Syscall6
	}
	for {
		n, _, errno := send(unix.SYS_SENDTO, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)),
			unix.MSG_NOSIGNAL|unix.MSG_DONTWAIT, 0, 0)
		if errno == 0 {
			return int(n), nil
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// sysLowWater sets how many bytes make an event.
func sysLowWater(fd, n int) error {
	value := int32(n)
	_, _, errno := unix.RawSyscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, uintptr(unsafe.Pointer(&value)), unsafe.Sizeof(value), 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func sysShut(fd int, both bool) {
	how := unix.SHUT_WR
	if both {
		how = unix.SHUT_RDWR
	}
	unix.Shutdown(fd, how)
}

// sysReset has the next close drop what the peer does not read.
func sysReset(fd int) {
	unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1})
}

func sysClose(fd int) { unix.Close(fd) }
