package handover

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// Words that the two processes say.
const (
	ready    = "ready\n"    // successor: the configuration is read
	released = "released\n" // predecessor: the engine is closed
	serving  = "serving\n"  // successor: connections are taken
	failed   = "failed "    // successor: it does not get there; the reason follows
)

// Predecessor is the process whose place this one takes.
type Predecessor struct {
	// Former is what this process is to go on with, instead of a successor that failed; nil for a successor.
	Former *Former

	pipe *os.File
	in   *bufio.Reader
}

// Inherit returns the sockets of a predecessor, and the predecessor itself; nil if there is none. It removes its variables from the environment.
func Inherit() (*Sockets, *Predecessor, error) {
	list, ok := os.LookupEnv(socketsVariable)
	_ = os.Unsetenv(socketsVariable)
	_, former := os.LookupEnv(formerVariable)
	_ = os.Unsetenv(formerVariable)
	s := &Sockets{}
	if !ok {
		return s, nil, nil
	}
	s.inherit(list)
	syscall.CloseOnExec(pipeFile)
	_ = syscall.SetNonblock(pipeFile, true) // so that closing it ends a read
	pipe := os.NewFile(pipeFile, "predecessor")
	p := &Predecessor{pipe: pipe, in: bufio.NewReader(pipe)}
	if !former {
		return s, p, nil
	}
	rename()
	var err error
	p.Former, err = readFormer(p.in)
	return s, p, err
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

// Failed tells the predecessor why connections will not be taken.
func (p *Predecessor) Failed(err error) {
	_, _ = p.pipe.WriteString(failed + strings.Join(strings.Fields(err.Error()), " ") + "\n")
}
