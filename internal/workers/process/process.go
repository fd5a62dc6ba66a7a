// Package process starts the processes of a pool and tells how they ended: by exec, or by a fork of a zygote that has already
// imported the app. It knows nothing about tasks.
package process

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Exit is how a process ended.
type Exit struct {
	Code   int            // -1 when a signal ended it or nobody could tell
	Signal syscall.Signal // 0 if none
	MaxRSS int64          // bytes, 0 if unknown
	CPU    time.Duration  // user and system
	Orphan bool           // its zygote died first, and may have taken it along
}

// Process is a running worker or zygote.
type Process struct {
	Pid  int
	Conn *net.UnixConn // frames

	handle    handle // sends signals without the risk of meeting a reused pid
	grouped   bool   // it leads its own process group
	mu        sync.Mutex
	dead      bool
	exit      Exit
	exited    chan struct{}
	out, errs *pipe
}

// Exited is closed once the process has ended; Exit then tells how.
func (p *Process) Exited() <-chan struct{} { return p.exited }

// Exit is how it ended; only valid after Exited is closed.
func (p *Process) Exit() Exit { return p.exit }

// Signal sends sig to the process, and SIGKILL to its whole group. After the end it does nothing.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.dead {
		return os.ErrProcessDone
	}
	if sig == syscall.SIGKILL && p.leads() {
		if err := unix.Kill(-p.Pid, sig); err == nil {
			return nil
		}
	}
	return p.handle.signal(p.Pid, sig)
}

// Settle notes whether the process leads a group of its own; call it once the process has said hello.
func (p *Process) Settle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leads()
}

func (p *Process) leads() bool {
	if !p.grouped && !p.dead {
		group, err := unix.Getpgid(p.Pid)
		p.grouped = err == nil && group == p.Pid
	}
	return p.grouped
}

// Drain hands over what the process has printed by now, without waiting; a line that has no end yet counts as one.
func (p *Process) Drain() {
	p.out.drain(true)
	p.errs.drain(true)
}

// ended records the exit once, ends what is left of the group, and reads the pipes to their end.
func (p *Process) ended(exit Exit) {
	p.mu.Lock()
	if p.dead {
		p.mu.Unlock()
		return
	}
	p.dead, p.exit = true, exit
	grouped := p.grouped
	p.handle.close()
	p.mu.Unlock()
	if grouped {
		_ = unix.Kill(-p.Pid, syscall.SIGKILL) // grandchildren must not outlive the worker
	}
	p.Drain()
	close(p.exited)
}

// Close lets go of the socket and the pipes.
func (p *Process) Close() {
	_ = p.Conn.Close()
	p.out.close()
	p.errs.close()
}

// link is the three descriptors between supervisor and worker: ours, and the ends that the worker gets.
type link struct {
	conn              *net.UnixConn
	out, errs         *pipe
	sock, stdout, err *os.File
}

func (l *link) closeTheirs() {
	for _, f := range []*os.File{l.sock, l.stdout, l.err} {
		if f != nil {
			_ = f.Close()
		}
	}
}

func (l *link) closeOurs() {
	if l.conn != nil {
		_ = l.conn.Close()
	}
	for _, p := range []*pipe{l.out, l.errs} {
		if p != nil {
			p.close()
		}
	}
}

func newLink(lines Lines) (_ *link, err error) {
	l := &link{}
	defer func() {
		if err != nil {
			l.closeTheirs()
			l.closeOurs()
		}
	}()
	ours, theirs, err := socketpair()
	if err != nil {
		return nil, err
	}
	l.sock = os.NewFile(uintptr(theirs), "worker")
	file := os.NewFile(uintptr(ours), "supervisor")
	conn, err := net.FileConn(file)
	_ = file.Close()
	if err != nil {
		return nil, err
	}
	l.conn = conn.(*net.UnixConn)
	if l.out, l.stdout, err = newPipe("stdout", lines); err != nil {
		return nil, err
	}
	if l.errs, l.err, err = newPipe("stderr", lines); err != nil {
		return nil, err
	}
	return l, nil
}

func (l *link) process(pid int, h handle) *Process {
	p := &Process{Pid: pid, Conn: l.conn, handle: h, out: l.out, errs: l.errs, exited: make(chan struct{})}
	go l.out.follow()
	go l.errs.follow()
	return p
}

var errGone = errors.New("the zygote is gone")
