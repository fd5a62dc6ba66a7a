// Package handover lets a process take the place of another: the listening sockets go over to the successor, so that connections that come
// meanwhile wait instead of being refused, and the data folder does when the predecessor has closed it.
//
// The successor is started with the sockets as open files, reads its configuration and says that it is ready. The predecessor then stops
// taking connections, closes its engine and says so; it ends when the requests that it has begun are answered.
//
// Until the successor serves, the predecessor holds the sockets. If that fails it starts its own program in its stead, with the configuration
// that worked.
package handover

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Variables of the environment of a successor.
const (
	socketsVariable = "HEADRACE_HANDOVER_SOCKETS" // NETWORK ADDRESS separated by semicolons; the files begin with 4
	formerVariable  = "HEADRACE_HANDOVER_FORMER"  // is set if a Former comes first
	pipeFile        = 3                           // a stream socket between the two
	firstSocket     = 4
)

// Sockets are the listening sockets of a process. The zero value has inherited none.
type Sockets struct {
	mu        sync.Mutex
	inherited []inherited
	open      []socket // in the order in which they were made; that of equal addresses counts
}

type socket struct {
	name string
	conn syscall.Conn
}

type inherited struct {
	name string
	file *os.File
}

func key(network, address string) string { return network + " " + address }

// Listen takes the socket of the predecessor for this address, or makes one.
func (s *Sockets) Listen(network, address string) (net.Listener, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var l net.Listener
	var err error
	if f := s.take(network, address); f != nil {
		l, err = net.FileListener(f)
		_ = f.Close()
	} else {
		l, err = net.Listen(network, address)
	}
	if err != nil {
		return nil, err
	}
	s.keep(network, address, l)
	return l, nil
}

// ListenPacket is Listen for UDP.
func (s *Sockets) ListenPacket(network, address string) (net.PacketConn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var c net.PacketConn
	var err error
	if f := s.take(network, address); f != nil {
		c, err = net.FilePacketConn(f)
		_ = f.Close()
	} else {
		c, err = net.ListenPacket(network, address)
	}
	if err != nil {
		return nil, err
	}
	s.keep(network, address, c)
	return c, nil
}

// take is the first one that was inherited for the address and is not used yet; nil if there is none.
func (s *Sockets) take(network, address string) *os.File {
	for i, one := range s.inherited {
		if one.name == key(network, address) {
			s.inherited = slices.Delete(s.inherited, i, i+1)
			return one.file
		}
	}
	return nil
}

func (s *Sockets) keep(network, address string, made any) {
	if conn, ok := made.(syscall.Conn); ok {
		s.open = append(s.open, socket{key(network, address), conn})
	}
}

// DropRest closes what was inherited and is not used.
func (s *Sockets) DropRest() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range s.inherited {
		_ = one.file.Close()
	}
	s.inherited = nil
}

// Held are copies of the sockets of a process: connections wait in them, whoever closes the others.
type Held struct {
	names   []string
	numbers []int
}

// Close lets go of them.
func (h *Held) Close() {
	for _, n := range h.numbers {
		_ = syscall.Close(n)
	}
	h.numbers = nil
}

// Hold copies the sockets that are open; the caller closes them.
func (s *Sockets) Hold() (*Held, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := &Held{}
	for _, one := range s.open {
		raw, err := one.conn.SyscallConn()
		if err == nil {
			var inner error
			// Not File, which would make the socket block for both processes.
			err = raw.Control(func(fd uintptr) {
				var n int
				if n, inner = dup(int(fd)); inner == nil {
					h.names, h.numbers = append(h.names, one.name), append(h.numbers, n)
				}
			})
			if err == nil {
				err = inner
			}
		}
		if errors.Is(err, net.ErrClosed) {
			continue
		}
		if err != nil {
			h.Close()
			return nil, fmt.Errorf("socket %s: %w", one.name, err)
		}
	}
	return h, nil
}

func dup(fd int) (int, error) { return unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0) }

// inherit takes the files of a successor.
func (s *Sockets) inherit(list string) {
	for i, name := range strings.Split(list, ";") {
		if name == "" {
			continue
		}
		syscall.CloseOnExec(firstSocket + i)
		s.inherited = append(s.inherited, inherited{name, os.NewFile(uintptr(firstSocket+i), "socket "+strconv.Itoa(i))})
	}
}
