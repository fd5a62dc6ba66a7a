package workers

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/frame"
	"github.com/headrace/headrace/internal/workers/process"
)

// agent keeps processes on this machine for a pool of another one.
type agent struct {
	*Pool  // only for what starts processes
	addr   string
	token  token
	blobs  *remoteBlobs
	first  chan error // what the first connection came to
	opened sync.Once
}

// Connect keeps cfg.Min workers here for the pool cfg.Name of the server at addr, until ctx is done; then it lets them finish for
// cfg.Grace. Lost connections are made again with a growing pause of at most 5 seconds. It returns early with the problem if the app
// does not import, the token file is not usable, or the server refuses the first connection. MaxMemory applies here; MaxTasks, MaxAge,
// RecycleMemory and Max do not.
func Connect(ctx context.Context, addr, tokenFile string, cfg Config, host Host, log *slog.Logger) error {
	t, err := readToken(tokenFile)
	if err != nil {
		return err
	}
	cfg = cfg.withDefaults()
	spec, err := cfg.spec()
	if err != nil {
		return err
	}
	spool := cfg.Spool
	if spool == "" {
		if spool, err = os.MkdirTemp("", "headrace-worker-"); err != nil {
			return problem.New("HR7004", "no spool folder: %w", err)
		}
		defer os.RemoveAll(spool)
	}
	p := &Pool{cfg: cfg, host: host, log: log.With("pool", cfg.Name), spool: spool, starter: process.NewStarter()}
	var stop context.CancelFunc
	p.ctx, stop = context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer p.starter.Close()
	a := &agent{Pool: p, addr: addr, token: t, first: make(chan error, 1)}
	if a.blobs, err = newRemoteBlobs(a, spool); err != nil {
		return problem.New("HR7004", "no folder for blobs: %w", err)
	}
	g := &generation{spec: spec}
	if cfg.Zygote && process.ZygotesWork {
		if _, err := p.incubate(ctx, g); err != nil {
			return err
		}
	}
	defer g.close()

	slots, cancel := context.WithCancel(ctx)
	defer cancel()
	var live sync.WaitGroup
	for i := range cfg.Min {
		live.Go(func() { a.keep(slots, g, i) })
	}
	err = nil
	select {
	case err = <-a.first:
	case <-ctx.Done():
	}
	if err != nil {
		cancel()
	} else {
		<-ctx.Done()
	}
	live.Wait()
	return err
}

// keep has one worker at all times.
func (a *agent) keep(ctx context.Context, g *generation, slot int) {
	machine, _ := os.Hostname()
	for failures, n := 0, 0; ctx.Err() == nil; n++ {
		name := fmt.Sprintf("%s-%d-%d-%d", machine, os.Getpid(), slot, n)
		begin := time.Now()
		err := a.work(ctx, g, name)
		if ctx.Err() != nil {
			return
		}
		failures++
		if err == nil || time.Since(begin) > 2*maxBackoff {
			failures = 0
		} else {
			if problem.From(err).Code != "HR9006" { // a server that is not up yet is waited for
				a.opened.Do(func() { a.first <- err })
			}
			a.log.Error("remote worker ended", "worker", name, "error", err, "next_try_in", backoff(failures))
		}
		a.revive(g)
		select {
		case <-ctx.Done():
		case <-time.After(backoff(failures)):
		}
	}
}

// work is the life of one process and of its connection.
func (a *agent) work(ctx context.Context, g *generation, name string) error {
	r := &relay{agent: a, name: name}
	starting, cancel := context.WithTimeout(ctx, a.cfg.StartTimeout)
	defer cancel()
	proc, err := a.launch(starting, g, name, r.line)
	if err != nil {
		return err
	}
	read := frame.NewReader(proc.Conn)
	h, err := a.greet(ctx, name, proc, read, &r.last)
	if err != nil {
		return err
	}
	defer proc.Close()
	r.proc, r.fromProc = proc, read
	conn, err := a.dial(ctx, "worker", a.cfg.Name, name)
	if err != nil {
		_ = proc.Signal(syscall.SIGKILL)
		<-proc.Exited()
		return err
	}
	defer conn.Close()
	a.opened.Do(func() { a.first <- nil })
	a.log.Info("remote worker connected", "worker", name, "pid", proc.Pid, "server", a.addr)
	return r.run(ctx, conn, h.raw)
}

// dial opens a connection and has its preface accepted.
func (a *agent) dial(ctx context.Context, verb string, words ...string) (net.Conn, error) {
	conn, err := a.open(ctx, verb, words...)
	if err != nil {
		return nil, err
	}
	_ = conn.SetDeadline(time.Now().Add(prefaceWait))
	if _, err := accepted(conn); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// open opens a connection and sends its preface.
func (a *agent) open(ctx context.Context, verb string, words ...string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, prefaceWait)
	defer cancel()
	conn, err := (&tls.Dialer{Config: a.token.pinned()}).DialContext(ctx, "tcp", a.addr)
	if err != nil {
		var p *problem.Error
		if errors.As(err, &p) {
			return nil, p.At(a.addr)
		}
		return nil, problem.New("HR9006", "cannot connect: %w", err).At(a.addr)
	}
	if _, err := conn.Write([]byte(preface{verb, a.token.secret, words}.String())); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return conn, nil
}

// relay passes frames between one process and the server.
type relay struct {
	*agent
	name     string
	last     printed
	proc     *process.Process
	fromProc *frame.Reader
	server   atomic.Pointer[net.Conn]
	writing  sync.Mutex // to the process
	reason   atomic.Pointer[string]
}

// line sends what the process printed as a log of no task: the server knows which one runs.
func (r *relay) line(stream string, line []byte) {
	r.last.add(line)
	if conn := r.server.Load(); conn != nil {
		_, _ = (*conn).Write(frame.Append(nil, frame.Log, 0, logBody(stream, line)))
		return
	}
	r.host.Line(r.name, stream, line)
}

func (r *relay) end(reason string, sig syscall.Signal) {
	r.reason.CompareAndSwap(nil, &reason)
	_ = r.proc.Signal(sig)
}

func (r *relay) run(ctx context.Context, conn net.Conn, hello []byte) error {
	r.server.Store(&conn)
	defer r.server.Store(nil)
	if _, err := conn.Write(frame.Append(nil, frame.Hello, 0, hello)); err != nil {
		r.end("lost", syscall.SIGKILL)
		<-r.proc.Exited()
		return err
	}
	drained := context.AfterFunc(ctx, func() { r.drain(conn) })
	defer drained()
	watched := make(chan struct{})
	go r.watch(watched)
	defer close(watched)
	down := make(chan error, 1)
	go func() {
		err := r.fromServer(ctx, conn)
		r.end("lost", syscall.SIGKILL) // nobody is left to answer to
		down <- err
	}()
	r.fromWorker(conn)
	<-r.proc.Exited()
	exit := r.proc.Exit()
	told := map[string]any{"pid": r.proc.Pid, "code": exit.Code, "signal": int(exit.Signal), "max_rss": exit.MaxRSS, "cpu": exit.CPU.Seconds()}
	if reason := r.reason.Load(); reason != nil {
		told["reason"] = *reason
	}
	body, err := json.Marshal(told)
	if err != nil {
		return err
	}
	_, _ = conn.Write(frame.Append(nil, frame.Exited, 0, body))
	_ = conn.Close()
	if err := <-down; r.reason.Load() != nil && *r.reason.Load() == "lost" {
		return fmt.Errorf("connection lost: %w", err)
	}
	return nil
}

// drain takes nothing more, and lets the process finish for the grace period.
func (r *relay) drain(conn net.Conn) {
	reason := "drain"
	r.reason.CompareAndSwap(nil, &reason)
	_, _ = conn.Write(frame.AppendCredit(nil, 0))
	r.urge(frame.Append(nil, frame.Drain, 0, nil))
	select {
	case <-r.proc.Exited():
	case <-time.After(r.cfg.Grace):
		_ = r.proc.Signal(syscall.SIGKILL)
	}
}

// watch kills a process that grows over the memory limit.
func (r *relay) watch(done <-chan struct{}) {
	if r.cfg.MaxMemory == 0 {
		return
	}
	ticker := time.NewTicker(r.cfg.WatchEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			return
		case <-ticker.C:
			if residentBytes(r.proc.Pid) > r.cfg.MaxMemory {
				r.end("out_of_memory", syscall.SIGKILL)
			}
		}
	}
}
