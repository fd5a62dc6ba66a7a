package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Successor is the process that takes the place of this one.
type Successor struct {
	Pid int

	pipe *os.File
	in   *bufio.Reader
	end  chan error // how it ended
}

// Start starts a program with the sockets, and waits until it says that it is ready. An error leaves everything as it was.
func Start(ctx context.Context, program string, args, environ []string, s *Sockets) (*Successor, error) {
	names, numbers, err := s.files()
	if err != nil {
		return nil, err
	}
	defer func() {
		for _, n := range numbers {
			_ = syscall.Close(n)
		}
	}()
	pair, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer syscall.Close(pair[1])
	if err := syscall.SetNonblock(pair[0], true); err != nil { // of our end alone: the two are descriptions of their own
		return nil, errors.Join(err, syscall.Close(pair[0]))
	}
	files := []uintptr{0, 1, 2, uintptr(pair[1])}
	for _, n := range numbers {
		files = append(files, uintptr(n))
	}
	pid, err := syscall.ForkExec(program, args, &syscall.ProcAttr{Env: append(environ, socketsVariable+"="+strings.Join(names, ";")), Files: files})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", program, err), syscall.Close(pair[0]))
	}
	n := &Successor{Pid: pid, pipe: os.NewFile(uintptr(pair[0]), "successor"), end: make(chan error, 1)}
	n.in = bufio.NewReader(n.pipe)
	go n.reap()
	if err := n.hear(ctx, ready); err != nil {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_ = n.pipe.Close()
		return nil, err
	}
	return n, nil
}

// socketpair is two ends that no other child inherits.
func socketpair() ([2]int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(pair[0])
		syscall.CloseOnExec(pair[1])
	}
	return pair, err
}

func (n *Successor) reap() {
	p, err := os.FindProcess(n.Pid)
	if err == nil {
		var state *os.ProcessState
		if state, err = p.Wait(); err == nil {
			err = fmt.Errorf("it ended: %s", state)
		}
	}
	n.end <- err
}

// hear waits for a word.
func (n *Successor) hear(ctx context.Context, word string) error {
	said := make(chan string, 1)
	go func() {
		line, _ := n.in.ReadString('\n')
		said <- line
	}()
	select {
	case line := <-said:
		if line == word {
			return nil
		}
		select {
		case err := <-n.end:
			return err
		case <-ctx.Done():
		}
		return errors.New("it closed the connection")
	case err := <-n.end:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Release lets the successor open the data folder.
func (n *Successor) Release() error {
	_, err := n.pipe.WriteString(released)
	return err
}

// Serving waits until the successor takes connections.
func (n *Successor) Serving(ctx context.Context) error {
	defer n.pipe.Close()
	return n.hear(ctx, serving)
}
