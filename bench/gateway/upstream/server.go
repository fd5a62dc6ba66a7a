// Package upstream is the service behind the proxies of the benchmark: one thread, one epoll, answers made in advance, so that it costs much
// less than any proxy before it.
//
//	GET  /small, /guarded/small   120 bytes of JSON
//	GET  /large                   100 KiB
//	GET  /wait                    as /small, 2 ms later
//	GET  /bytes/N                 N bytes
//	POST /sink                    the number of bytes that were sent
package upstream

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Sizes of bodies in bytes, and how late /wait answers.
const (
	Small = 120
	Large = 100 << 10
	Wait  = 2 * time.Millisecond
)

// server is a listener, its connections, and the answers that wait.
type server struct {
	epoll, listener int
	wake            int // an eventfd: the process shall end
	conns           []*conn
	free            []int
	open            int
	late            []late
	draining        bool
	small, large    []byte // whole answers
	filler          []byte
	buffer          []byte
}

// late is an answer of /wait; they are due in their order.
type late struct {
	due  time.Time
	conn *conn
}

const (
	listening = -1 // what epoll tells of the listener
	waking    = -2
	most      = 256 // events at a time
)

// Run serves at addr until SIGTERM. Then it takes no more connections, closes those that are idle, and answers what it has. The name is part of
// the small answer, see Body.
func Run(addr, name string) error {
	runtime.LockOSThread()
	s := &server{buffer: make([]byte, 256<<10), filler: make([]byte, 256<<10)}
	s.small = whole(Body(name))
	s.large = whole(fill(`{"text":"`, `"}`, Large))
	for i := range s.filler {
		s.filler[i] = 'x'
	}
	var err error
	if s.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if s.wake, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	if s.listener, err = Listen(addr); err != nil {
		return err
	}
	if err = errors.Join(s.watch(s.listener, unix.EPOLLIN, listening), s.watch(s.wake, unix.EPOLLIN, waking)); err != nil {
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGTERM, os.Interrupt)
	go func() {
		<-asked
		_, _ = unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0})
	}()
	return s.loop()
}

// Body is the small answer of the upstream of that name.
func Body(name string) []byte { return fill(fmt.Sprintf(`{"from":%q,"text":"`, name), `"}`, Small) }

func fill(head, tail string, size int) []byte {
	b := []byte(head)
	for len(b) < size-len(tail) {
		b = append(b, 'x')
	}
	return append(b, tail...)
}

func whole(body []byte) []byte { return append(head(int64(len(body))), body...) }

func head(length int64) []byte {
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", length)
}

// Resolve is an address of IPv4 as a socket takes it.
func Resolve(addr string) (*unix.SockaddrInet4, error) {
	at, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	return &unix.SockaddrInet4{Port: at.Port, Addr: [4]byte(at.IP.To4())}, nil
}

// Listen is a socket that listens at addr and does not block.
func Listen(addr string) (int, error) {
	at, err := Resolve(addr)
	if err != nil {
		return 0, err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err := unix.Bind(fd, at); err != nil {
		return 0, err
	}
	return fd, unix.Listen(fd, 4096)
}

func (s *server) watch(fd int, events uint32, index int) error {
	return unix.EpollCtl(s.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(index)})
}

func (s *server) loop() error {
	var events [most]unix.EpollEvent
	for !s.draining || s.open > 0 {
		var timeout unsafe.Pointer
		if len(s.late) > 0 {
			wait := unix.NsecToTimespec(int64(max(time.Until(s.late[0].due), 0)))
			timeout = unsafe.Pointer(&wait)
		}
		n, _, errno := unix.Syscall6(unix.SYS_EPOLL_PWAIT2, uintptr(s.epoll), uintptr(unsafe.Pointer(&events[0])), most, uintptr(timeout), 0, 0)
		if errno != 0 && errno != unix.EINTR {
			return errno
		}
		if errno != 0 {
			continue
		}
		for _, event := range events[:n] {
			switch event.Fd {
			case listening:
				s.accept()
			case waking:
				s.drain()
			default:
				if c := s.conns[event.Fd]; c != nil {
					s.serve(c)
				}
			}
		}
		for len(s.late) > 0 && time.Now().After(s.late[0].due) {
			c := s.late[0].conn
			s.late = s.late[1:]
			if c.late = false; !c.gone {
				c.out = s.small
				s.serve(c)
			}
		}
	}
	return nil
}

func (s *server) accept() {
	for {
		fd, _, err := unix.Accept4(s.listener, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		if err != nil {
			return
		}
		_ = unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
		c := &conn{fd: fd, index: len(s.conns)}
		if n := len(s.free); n > 0 {
			c.index, s.free = s.free[n-1], s.free[:n-1]
			s.conns[c.index] = c
		} else {
			s.conns = append(s.conns, c)
		}
		s.open++
		if err := s.watch(fd, unix.EPOLLIN|unix.EPOLLOUT|unix.EPOLLRDHUP|unix.EPOLLET, c.index); err != nil {
			s.close(c)
		}
	}
}

func (s *server) drain() {
	s.draining = true
	_ = unix.Close(s.listener)
	_ = unix.Close(s.wake)
	for _, c := range s.conns {
		if c != nil && c.idle() {
			s.close(c)
		}
	}
}

func (s *server) close(c *conn) {
	_ = unix.Close(c.fd)
	c.gone = true
	s.conns[c.index] = nil
	s.free = append(s.free, c.index)
	s.open--
}
