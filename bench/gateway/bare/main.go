// Bare carries bytes between clients and the upstream, and does nothing else: a client has a connection to the upstream of its own, no head is
// parsed, nothing is routed, counted or bounded. One thread and one epoll: two reads, two writes and what wakes it are the least that a proxy
// can cost, so what it adds to a latency is what the machine leaves to every proxy.
package main

import (
	"errors"
	"log"
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/bench/gateway/upstream"
)

// relay is a listener and the connections that it carries bytes for: peers has the other end of each by its descriptor.
type relay struct {
	epoll, listener int
	upstream        *unix.SockaddrInet4
	peers           []int
	buffer          [64 << 10]byte
}

func main() {
	runtime.LockOSThread()
	if err := run(os.Getenv("BENCH_PLAIN"), os.Getenv("BENCH_UPSTREAM")); err != nil {
		log.Fatal(err)
	}
}

func run(addr, service string) error {
	r := &relay{}
	var err error
	if r.upstream, err = upstream.Resolve(service); err != nil {
		return err
	}
	if r.epoll, err = unix.EpollCreate1(unix.EPOLL_CLOEXEC); err != nil {
		return err
	}
	if r.listener, err = upstream.Listen(addr); err != nil {
		return err
	}
	if err := r.watch(r.listener); err != nil {
		return err
	}
	return r.loop()
}

func (r *relay) watch(fd int) error {
	return unix.EpollCtl(r.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)})
}

func (r *relay) loop() error {
	var events [256]unix.EpollEvent
	for {
		n, err := unix.EpollWait(r.epoll, events[:], -1)
		if err != nil && err != unix.EINTR {
			return err
		}
		for _, event := range events[:max(n, 0)] {
			if fd := int(event.Fd); fd == r.listener {
				r.accept()
			} else if r.peers[fd] != 0 && !r.carry(fd, r.peers[fd]) {
				r.close(fd)
			}
		}
	}
}

// accept takes a client and connects to the upstream for it.
func (r *relay) accept() {
	fd, _, err := unix.Accept4(r.listener, unix.SOCK_CLOEXEC)
	if err != nil {
		return
	}
	peer, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		_ = unix.Close(fd)
		return
	}
	for len(r.peers) <= max(fd, peer) {
		r.peers = append(r.peers, 0)
	}
	r.peers[fd], r.peers[peer] = peer, fd
	for _, one := range []int{fd, peer} {
		_ = unix.SetsockoptInt(one, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	if err := errors.Join(unix.Connect(peer, r.upstream), r.watch(fd), r.watch(peer)); err != nil {
		r.close(fd)
	}
}

// carry is false when there is nothing more to carry. Sockets block: what the benchmark sends fits into their buffers.
func (r *relay) carry(from, to int) bool {
	n, err := unix.Read(from, r.buffer[:])
	if err == unix.EINTR {
		return true
	}
	if err != nil || n == 0 {
		return false
	}
	_, err = unix.Write(to, r.buffer[:n])
	return err == nil
}

func (r *relay) close(fd int) {
	peer := r.peers[fd]
	r.peers[fd], r.peers[peer] = 0, 0
	_, _ = unix.Close(fd), unix.Close(peer)
}
