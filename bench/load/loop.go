package load

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loop is the connections of a run and the one thread that waits for them.
type loop struct {
	plan    Plan
	epoll   int
	clients []client // the index is what epoll tells
	idle    []*client
	alive   int
	result  *Result
	buffer  []byte
	scratch []byte
	events  []unix.EpollEvent
}

// client is one connection.
type client struct {
	fd      int
	in      []byte // of the answer that comes
	out     []byte // of the request that the socket did not take yet
	request int
	begun   time.Time
}

// open makes the connections of a plan.
func open(plan Plan) (*loop, error) {
	runtime.LockOSThread()
	if plan.Prompt {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_FIFO, Priority: 1}, 0)
	}
	l := &loop{plan: plan, result: &Result{}, clients: make([]client, 0, plan.Connections), events: make([]unix.EpollEvent, 256),
		buffer: make([]byte, maxLine)}
	var err error
	if l.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	for i := range plan.Connections {
		fd, err := dial(plan.Addr)
		if err == nil {
			l.clients = append(l.clients, client{fd: fd})
			err = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET, Fd: int32(i)})
		}
		if err != nil {
			l.close()
			return nil, err
		}
		l.idle = append(l.idle, &l.clients[i])
	}
	l.alive = len(l.clients)
	return l, nil
}

// dial connects with a socket that the runtime of Go does not watch.
func dial(addr string) (int, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return 0, err
	}
	var fd int
	var failed error
	if err = raw.Control(func(own uintptr) { fd, failed = unix.FcntlInt(own, unix.F_DUPFD_CLOEXEC, 0) }); err == nil {
		err = failed
	}
	return fd, err
}

func (l *loop) close() {
	for i := range l.clients {
		if l.clients[i].fd >= 0 {
			_ = unix.Close(l.clients[i].fd)
		}
	}
	_ = unix.Close(l.epoll)
	if l.plan.Prompt {
		_ = unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_NORMAL}, 0)
	}
	runtime.UnlockOSThread()
}

// begin sends a request over the connection that has been idle for longest.
func (l *loop) begin(request int, begun time.Time) {
	c := l.idle[0]
	l.idle = l.idle[1:]
	c.request, c.begun = request, begun
	c.out = l.plan.Next(request, c.out[:0])
	l.send(c)
}

func (l *loop) send(c *client) {
	n, err := unix.Write(c.fd, c.out)
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		l.broken(c, err)
	default:
		c.out = append(c.out[:0], c.out[n:]...)
	}
}

// wait waits for answers, no longer than a time, and takes those that are there. It sleeps in the system because the timers of the runtime
// wake up to a millisecond late, which is more than what is measured.
func (l *loop) wait(most time.Duration, start time.Time) error {
	timeout := unix.NsecToTimespec(int64(most))
	n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(l.epoll), uintptr(unsafe.Pointer(&l.events[0])), uintptr(len(l.events)),
		uintptr(unsafe.Pointer(&timeout)), 0, 0)
	if errno != 0 && errno != unix.EINTR {
		return errno
	}
	if errno != 0 {
		return nil
	}
	for _, event := range l.events[:n] {
		c := &l.clients[event.Fd]
		if c.fd < 0 {
			continue
		}
		if event.Events&unix.EPOLLOUT != 0 && len(c.out) > 0 {
			l.send(c)
		}
		if event.Events&^unix.EPOLLOUT != 0 && c.fd >= 0 {
			l.receive(c, start)
		}
	}
	return nil
}

// receive reads all that is there.
func (l *loop) receive(c *client, start time.Time) {
	for {
		n, err := unix.Read(c.fd, l.buffer)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			return
		case err == nil && n == 0:
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			l.broken(c, err)
			return
		}
		c.in = append(c.in, l.buffer[:n]...)
		status, body, used, err := answer(c.in, l.scratch[:0])
		if err == errShort {
			continue
		}
		if err == nil && used != len(c.in) {
			err = fmt.Errorf("%w: %d bytes behind it", ErrMalformed, len(c.in)-used)
		}
		if err != nil {
			l.broken(c, err)
			return
		}
		l.answered(c, status, body, start)
		if n < len(l.buffer) {
			return
		}
	}
}

func (l *loop) answered(c *client, status int, body []byte, start time.Time) {
	ended := time.Now()
	l.result.Elapsed = ended.Sub(start)
	if err := l.plan.Check(c.request, status, body, c.begun, ended); err != nil {
		l.failed(c, err)
	} else {
		l.result.Done++
		l.result.Latency.Record(ended.Sub(c.begun))
	}
	c.in = c.in[:0]
	l.idle = append(l.idle, c)
}

// broken gives up a connection.
func (l *loop) broken(c *client, err error) {
	l.failed(c, err)
	_ = unix.Close(c.fd)
	c.fd = -1
	l.alive--
	l.idle = slices.DeleteFunc(l.idle, func(other *client) bool { return other == c }) // the server may close one that is idle
}

func (l *loop) failed(c *client, err error) {
	l.result.Failed++
	if l.result.Error == nil {
		l.result.Error = fmt.Errorf("request %d: %w", c.request, err)
	}
}
