package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/workers/frame"
)

// ErrRefused is wrapped when a zygote may not fork, because threads or CUDA are live in it.
var ErrRefused = errors.New("zygote refused to fork")

// accountWait is how long the zygote's account of a child's end is waited for after the child has ended.
const accountWait = 2 * time.Second

// Zygote forks workers from a process that has imported the app. Make it from a spawned process that has said hello.
type Zygote struct {
	*Process
	mu       sync.Mutex
	waiting  map[string]*birth
	children map[int]*child
	gone     bool
	heard    chan struct{} // closed when everything it told was read
}

type birth struct {
	link  *link
	reply chan struct{}
	child *Process
	err   error
}

type child struct {
	process *Process
	told    chan Exit
}

// NewZygote takes over the socket of p; read is the reader that has read its hello.
func NewZygote(p *Process, read *frame.Reader) *Zygote {
	z := &Zygote{Process: p, waiting: map[string]*birth{}, children: map[int]*child{}, heard: make(chan struct{})}
	go z.listen(read)
	return z
}

// Fork makes a worker. It fails with ErrRefused, when the zygote is gone, or when ctx is done.
func (z *Zygote) Fork(ctx context.Context, name string, lines Lines) (*Process, error) {
	l, err := newLink(lines)
	if err != nil {
		return nil, err
	}
	defer l.closeTheirs()
	body, err := json.Marshal(map[string]string{"worker": name})
	if err != nil {
		return nil, err
	}
	b := &birth{link: l, reply: make(chan struct{})}
	z.mu.Lock()
	if z.gone {
		z.mu.Unlock()
		l.closeOurs()
		return nil, errGone
	}
	z.waiting[name] = b
	rights := unix.UnixRights(int(l.sock.Fd()), int(l.stdout.Fd()), int(l.err.Fd()))
	_, _, err = z.Conn.WriteMsgUnix(frame.Append(nil, frame.Fork, 0, body), rights, nil)
	z.mu.Unlock()
	if err != nil {
		z.forget(name)
		l.closeOurs()
		return nil, err
	}
	select {
	case <-b.reply:
	case <-ctx.Done():
		if z.forget(name) {
			l.closeOurs()
			return nil, ctx.Err()
		}
		<-b.reply
	}
	if b.err != nil {
		l.closeOurs()
	}
	return b.child, b.err
}

func (z *Zygote) forget(name string) bool {
	z.mu.Lock()
	defer z.mu.Unlock()
	_, there := z.waiting[name]
	delete(z.waiting, name)
	return there
}

// listen reads what the zygote tells until its socket ends.
func (z *Zygote) listen(read *frame.Reader) {
	defer close(z.heard)
	for {
		f, err := read.Next()
		if err != nil {
			break
		}
		switch f.Kind {
		case frame.Forked:
			z.forked(f.Body)
		case frame.Exited:
			z.exitedChild(f.Body)
		}
	}
	_ = z.Signal(syscall.SIGKILL)
	z.mu.Lock()
	z.gone = true
	waiting := z.waiting
	z.waiting = nil
	z.mu.Unlock()
	for _, b := range waiting {
		b.err = errGone
		close(b.reply)
	}
}

func (z *Zygote) forked(body []byte) {
	var told struct {
		Worker  string `json:"worker"`
		Pid     int    `json:"pid"`
		Refused string `json:"refused"`
	}
	if json.Unmarshal(body, &told) != nil {
		return
	}
	z.mu.Lock()
	b := z.waiting[told.Worker]
	delete(z.waiting, told.Worker)
	z.mu.Unlock()
	if b == nil { // nobody waits any more: the child meets a closed socket and exits
		return
	}
	defer close(b.reply)
	if told.Refused != "" {
		b.err = fmt.Errorf("%w: %s", ErrRefused, told.Refused)
		return
	}
	h, err := openHandle(told.Pid)
	if err != nil {
		b.err = fmt.Errorf("%w: %w", ErrRefused, err)
		return
	}
	b.child = b.link.process(told.Pid, h)
	c := &child{process: b.child, told: make(chan Exit, 1)}
	z.mu.Lock()
	z.children[told.Pid] = c
	z.mu.Unlock()
	go z.wait(c, h)
}

// wait takes the end from the pidfd and the cause from the zygote, which is the parent.
func (z *Zygote) wait(c *child, h handle) {
	h.wait()
	var exit Exit
	timer := time.NewTimer(accountWait)
	defer timer.Stop()
	select {
	case exit = <-c.told:
	case <-z.Exited():
		// A zygote that drains ends right after its last child: what it told of the child comes first.
		select {
		case <-z.heard:
		case <-timer.C:
		}
		select {
		case exit = <-c.told:
		default:
			exit, _ = reap(c.process.Pid)
			exit.Orphan = true
		}
	case <-timer.C:
		exit = Exit{Code: -1}
	}
	z.mu.Lock()
	delete(z.children, c.process.Pid)
	z.mu.Unlock()
	c.process.ended(exit)
}

func (z *Zygote) exitedChild(body []byte) {
	var told struct {
		Pid    int     `json:"pid"`
		Code   int     `json:"code"`
		Signal int     `json:"signal"`
		MaxRSS int64   `json:"max_rss"`
		CPU    float64 `json:"cpu"`
	}
	if json.Unmarshal(body, &told) != nil {
		return
	}
	z.mu.Lock()
	c := z.children[told.Pid]
	z.mu.Unlock()
	if c != nil {
		exit := Exit{Code: told.Code, Signal: syscall.Signal(told.Signal), MaxRSS: told.MaxRSS, CPU: time.Duration(told.CPU * float64(time.Second))}
		select {
		case c.told <- exit:
		default: // told twice
		}
	}
}
