package handover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"time"
)

// Successor is the process that takes the place of this one.
type Successor struct {
	Pid int

	process *os.Process
	pipe    *os.File
	in      *bufio.Reader
	ended   chan struct{}
	how     error // once ended is closed
}

// Start starts a program with the sockets, and waits until it says that it is ready. An error leaves everything as it was.
func Start(ctx context.Context, program string, args, environ []string, h *Held) (*Successor, error) {
	n, err := start(program, args, environ, h)
	if err != nil {
		return nil, err
	}
	return n, n.ready(ctx)
}

// Restore starts the program of this process itself, which has closed the data folder, and waits until it serves.
func Restore(ctx context.Context, args, environ []string, h *Held, f *Former) (*Successor, error) {
	line, err := f.line()
	if err != nil {
		return nil, err
	}
	program, err := program()
	if err != nil {
		return nil, err
	}
	n, err := start(program, args, append(environ, formerVariable+"=1"), h)
	if err != nil {
		return nil, err
	}
	go func() { _, _ = n.pipe.Write(line) }() // that it is not taken is heard below
	if err := n.ready(ctx); err != nil {
		return nil, err
	}
	return n, n.Serve(ctx)
}

func start(program string, args, environ []string, h *Held) (*Successor, error) {
	pair, err := socketpair()
	if err != nil {
		return nil, err
	}
	defer syscall.Close(pair[1])
	if err := syscall.SetNonblock(pair[0], true); err != nil { // of our end alone: the two are descriptions of their own
		return nil, errors.Join(err, syscall.Close(pair[0]))
	}
	files := []uintptr{0, 1, 2, uintptr(pair[1])}
	for _, n := range h.numbers {
		files = append(files, uintptr(n))
	}
	pid, err := syscall.ForkExec(program, args, &syscall.ProcAttr{Env: append(environ, socketsVariable+"="+strings.Join(h.names, ";")), Files: files})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", program, err), syscall.Close(pair[0]))
	}
	process, err := os.FindProcess(pid)
	if err != nil {
		return nil, errors.Join(err, syscall.Close(pair[0]))
	}
	n := &Successor{Pid: pid, process: process, pipe: os.NewFile(uintptr(pair[0]), "successor"), ended: make(chan struct{})}
	n.in = bufio.NewReader(n.pipe)
	go n.reap()
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
	defer close(n.ended)
	state, err := n.process.Wait()
	if err == nil {
		err = fmt.Errorf("it ended: %s", state)
	}
	n.how = err
}

// ready waits until the successor has read its configuration; with an error it is ended.
func (n *Successor) ready(ctx context.Context) error {
	err := n.hear(ctx, ready)
	if err != nil {
		_ = n.process.Kill()
		<-n.ended
		_ = n.pipe.Close()
	}
	return err
}

// hear waits for a word.
func (n *Successor) hear(ctx context.Context, word string) error {
	said := make(chan string, 1)
	go func() {
		line, _ := n.in.ReadString('\n')
		said <- line
	}()
	line := ""
	select {
	case line = <-said:
	case <-n.ended: // what it said before is there to be read, or the end
		select {
		case line = <-said:
		case <-ctx.Done(): // a child of it has the pipe
		}
	case <-ctx.Done():
		return fmt.Errorf("it does not get there: %w", ctx.Err())
	}
	if line == word {
		return nil
	}
	if why, ok := strings.CutPrefix(line, failed); ok {
		return errors.New(strings.TrimSuffix(why, "\n"))
	}
	select {
	case <-n.ended:
		return n.how
	case <-ctx.Done():
		return errors.New("it closed the connection")
	}
}

// endTime is how long a successor that failed may take to end.
const endTime = 10 * time.Second

// Serve lets the successor open the data folder, and waits until it takes connections. With an error it has ended, and nobody has the folder.
func (n *Successor) Serve(ctx context.Context) error {
	defer n.pipe.Close()
	_, err := n.pipe.WriteString(released)
	if err == nil || errors.Is(err, syscall.EPIPE) {
		err = n.hear(ctx, serving)
	}
	if err != nil {
		n.end()
	}
	return err
}

func (n *Successor) end() {
	_ = n.process.Signal(syscall.SIGTERM)
	timer := time.NewTimer(endTime)
	defer timer.Stop()
	select {
	case <-n.ended:
	case <-timer.C:
		_ = n.process.Kill()
		<-n.ended
	}
}
