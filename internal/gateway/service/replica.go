package service

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/headrace/headrace/internal/config"
)

// Replica is one process of a service.
type Replica struct {
	Number  int    // of its place among the replicas, from 1 on
	Network string // unix or tcp
	Address string // the path of a socket, or 127.0.0.1:port
	Pid     int
	Busy    atomic.Int64 // requests under way, counted by who sends them: the process is not ended before there are none, for as long as grace

	cfg    *config.Upstream
	place  place
	log    *slog.Logger
	begun  time.Time
	last   printed
	exited chan struct{}
	how    string // it ended; once exited is closed
	mu     sync.Mutex
	dead   bool
}

const (
	settle     = 100 * time.Millisecond // without requests before a process is ended: one may have been given to it that it does not know of yet
	lookEvery  = 10 * time.Millisecond
	pipeLinger = time.Second // for the output of processes that left the group
)

// launch starts a process.
func (s *Supervisor) launch(name string, number int, c *config.Upstream) (*Replica, error) {
	words, err := Split(c.Run)
	if err != nil {
		return nil, err
	}
	at, err := s.places.find(c)
	if err != nil {
		return nil, err
	}
	for i := range words {
		words[i] = at.fill(words[i])
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = s.folder(c)
	cmd.Env = append(os.Environ(), "PYTHONUNBUFFERED=1", at.variable())
	for key, value := range c.Env {
		cmd.Env = append(cmd.Env, key+"="+at.fill(value))
	}
	cmd.SysProcAttr = attributes()
	r := &Replica{
		Number: number, Network: at.network, Address: at.address, cfg: c, place: at, begun: time.Now(), exited: make(chan struct{}),
		log: s.log.With("service", name, "replica", number),
	}
	var ours, theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
	}()
	for range 2 {
		read, write, err := os.Pipe()
		if err != nil {
			closeAll(ours)
			s.places.free(at)
			return nil, err
		}
		ours, theirs = append(ours, read), append(theirs, write)
	}
	cmd.Stdout, cmd.Stderr = theirs[0], theirs[1]
	if err := s.starter.do(cmd.Start); err != nil {
		closeAll(ours)
		s.places.free(at)
		return nil, err
	}
	r.Pid = cmd.Process.Pid
	var following sync.WaitGroup
	for i, stream := range []string{"stdout", "stderr"} {
		following.Go(func() {
			follow(ours[i], func(line string) {
				r.last.add(line)
				r.log.Info(line, "stream", stream)
			})
		})
	}
	s.work.Go(func() {
		_ = cmd.Wait()
		r.signal(syscall.SIGKILL) // what is left of the group must not outlive it
		r.mu.Lock()
		r.dead = true
		r.mu.Unlock()
		for _, f := range ours {
			_ = f.SetReadDeadline(time.Now().Add(pipeLinger))
		}
		following.Wait()
		closeAll(ours)
		s.places.free(at)
		r.how = cmd.ProcessState.String()
		close(r.exited)
	})
	return r, nil
}

func closeAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close()
	}
}

// signal reaches the whole group, since the command may be a script around the program.
func (r *Replica) signal(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.dead {
		_ = unix.Kill(-r.Pid, sig)
	}
}

// retire ends a process that gets no more requests: when those under way have ended, or after grace, it is told to end; when it has not
// after grace, it is killed. Once hard is done that happens at once.
func (r *Replica) retire(hard context.Context) {
	r.idle(hard)
	r.terminate(hard)
}

// terminate tells a process to end, and kills it after grace.
func (r *Replica) terminate(hard context.Context) {
	r.signal(syscall.SIGTERM)
	timer := time.NewTimer(r.cfg.Grace)
	defer timer.Stop()
	select {
	case <-r.exited:
		return
	case <-timer.C:
		r.log.Warn("process does not end and is killed", "pid", r.Pid, "grace", r.cfg.Grace)
	case <-hard.Done():
	}
	r.signal(syscall.SIGKILL)
	<-r.exited
}

func (r *Replica) idle(hard context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for begun, quiet := time.Now(), time.Duration(0); quiet < settle && time.Since(begun) < max(settle, r.cfg.Grace); {
		select {
		case <-ticker.C:
		case <-r.exited:
			return
		case <-hard.Done():
			return
		}
		if quiet += lookEvery; r.Busy.Load() > 0 {
			quiet = 0
		}
	}
}

// end kills a process that is of no use.
func (r *Replica) end() {
	r.signal(syscall.SIGKILL)
	<-r.exited
}

// ending says how a process ended, with the last it printed.
func (r *Replica) ending() string {
	return r.how + r.last.told()
}
