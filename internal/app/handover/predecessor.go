package handover

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"syscall"
)

// Words that the two processes say.
const (
	ready    = "ready\n"    // successor: the configuration is read
	released = "released\n" // predecessor: the engine is closed
	serving  = "serving\n"  // successor: connections are taken
)

// Predecessor is the process whose place this one takes.
type Predecessor struct {
	pipe *os.File
	in   *bufio.Reader
}

// Inherit returns the sockets of a predecessor, and the predecessor itself; nil if there is none. It removes its variable from the environment.
func Inherit() (*Sockets, *Predecessor) {
	list, ok := os.LookupEnv(socketsVariable)
	_ = os.Unsetenv(socketsVariable)
	s := &Sockets{}
	if !ok {
		return s, nil
	}
	s.inherit(list)
	syscall.CloseOnExec(pipeFile)
	_ = syscall.SetNonblock(pipeFile, true) // so that closing it ends a read
	pipe := os.NewFile(pipeFile, "predecessor")
	return s, &Predecessor{pipe, bufio.NewReader(pipe)}
}

// Await says that this process is ready, and waits until the predecessor has let go of the data folder. If that one is gone it has, too.
func (p *Predecessor) Await(ctx context.Context) error {
	if _, err := p.pipe.WriteString(ready); err != nil {
		return nil //nolint:nilerr // it is gone
	}
	done := make(chan struct{})
	defer context.AfterFunc(ctx, func() { _ = p.pipe.Close() })()
	go func() {
		defer close(done)
		_, _ = p.in.ReadString('\n')
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the predecessor has not let go of the data folder: %w", ctx.Err())
	}
}

// Serving tells the predecessor that connections are taken.
func (p *Predecessor) Serving() {
	_, _ = p.pipe.WriteString(serving)
	_ = p.pipe.Close()
}
