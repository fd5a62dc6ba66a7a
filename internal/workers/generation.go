package workers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/frame"
	"github.com/headrace/headrace/internal/workers/process"
)

// generation is the app as it was imported at one time.
type generation struct {
	spec      process.Spec
	functions []*function
	byName    map[string]*function

	mu     sync.Mutex
	zygote *process.Zygote
}

type hello struct {
	Protocol  int        `json:"protocol"`
	SDK       string     `json:"sdk"`
	Runtime   string     `json:"runtime"`
	Pid       int        `json:"pid"`
	Functions []Function `json:"functions"`

	raw []byte
}

func (g *generation) learn(h hello) {
	g.byName = map[string]*function{}
	for _, def := range h.Functions {
		f := &function{Function: def}
		if def.Kind == "batch" {
			f.batch = &gathering{fn: f}
		}
		g.functions = append(g.functions, f)
		g.byName[def.Name] = f
	}
}

// generate imports the app anew and starts n workers of it, which are ready when it returns. If it fails nothing is left behind.
func (p *Pool) generate(ctx context.Context, spec process.Spec, n int) (*generation, []*worker, error) {
	g := &generation{spec: spec}
	if p.cfg.Zygote && process.ZygotesWork {
		h, err := p.incubate(ctx, g)
		if err != nil {
			return nil, nil, err
		}
		g.learn(h)
	}
	type start struct {
		worker *worker
		hello  hello
		err    error
	}
	starts := make(chan start, n)
	for range n {
		go func() {
			w, h, err := p.start(ctx, g)
			starts <- start{w, h, err}
		}()
	}
	var workers []*worker
	var failed error
	for range n {
		s := <-starts
		if s.err != nil {
			failed = s.err
			continue
		}
		workers = append(workers, s.worker)
		if g.byName == nil {
			g.learn(s.hello)
		}
	}
	if failed != nil {
		p.mu.Lock()
		for _, w := range workers {
			w.kill("reload")
		}
		p.mu.Unlock()
		g.close()
		return nil, nil, failed
	}
	return g, workers, nil
}

// incubate starts the zygote.
func (p *Pool) incubate(ctx context.Context, g *generation) (hello, error) {
	name := p.cfg.Name + "-zygote"
	var last printed
	proc, err := p.starter.Spawn(g.spec, name, true, func(stream string, line []byte) {
		last.add(line)
		p.host.Line(name, stream, line)
	})
	if err != nil {
		return hello{}, problem.New("HR6004", "%w", err).At(g.spec.Python)
	}
	read := frame.NewReader(proc.Conn)
	h, err := p.greet(ctx, name, proc, read, &last)
	if err != nil {
		return h, err
	}
	g.mu.Lock()
	g.zygote = process.NewZygote(proc, read)
	g.mu.Unlock()
	return h, nil
}

// greet reads the hello. A process that gives none is killed.
func (p *Pool) greet(ctx context.Context, name string, proc *process.Process, read *frame.Reader, last *printed) (h hello, err error) {
	defer func() {
		if err != nil {
			_ = proc.Signal(syscall.SIGKILL)
			<-proc.Exited()
			proc.Close()
		}
	}()
	_ = proc.Conn.SetReadDeadline(time.Now().Add(p.cfg.StartTimeout))
	release := context.AfterFunc(ctx, func() { _ = proc.Conn.SetReadDeadline(time.Unix(1, 0)) })
	f, err := read.Next()
	release()
	switch {
	case ctx.Err() != nil:
		return h, ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return h, problem.New("HR6003", "%s did not import its app within %s", name, p.cfg.StartTimeout).At(strings.Join(last.all(), "\n"))
	case errors.Is(err, frame.ErrMalformed):
		return h, problem.New("HR6001", "%s: %w", name, err)
	case err != nil:
		<-proc.Exited()
		exit := proc.Exit()
		return h, problem.New("HR6005", "%s ended before its hello with %s", name, describe(exit)).At(strings.Join(last.all(), "\n"))
	case f.Kind == frame.Error:
		var e TaskError
		_ = json.Unmarshal(f.Body, &e)
		where := e.Traceback
		if where == "" {
			where = p.cfg.App
		}
		return h, problem.New("HR6002", "%s: %s", e.Type, e.Message).At(strings.TrimSpace(where))
	case f.Kind != frame.Hello:
		return h, problem.New("HR6001", "%s sent %s instead of hello", name, f.Kind)
	}
	if err := json.Unmarshal(f.Body, &h); err != nil {
		return h, problem.New("HR6001", "hello of %s: %w", name, err)
	}
	if h.Protocol != frame.Version {
		return h, problem.New("HR6001", "%s speaks protocol %d instead of %d", name, h.Protocol, frame.Version)
	}
	h.raw = bytes.Clone(f.Body)
	_ = proc.Conn.SetReadDeadline(time.Time{})
	proc.Settle()
	return h, nil
}

func describe(e process.Exit) string {
	if e.Signal != 0 {
		return "signal " + e.Signal.String()
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// launch makes a process: a fork of the zygote, or by exec where there is none or it refuses.
func (p *Pool) launch(ctx context.Context, g *generation, name string, lines process.Lines) (*process.Process, error) {
	if p.cfg.Zygote && process.ZygotesWork {
		g.mu.Lock()
		z := g.zygote
		g.mu.Unlock()
		if z != nil {
			proc, err := z.Fork(ctx, name, lines)
			if err == nil || ctx.Err() != nil {
				return proc, err
			}
			p.log.Warn("worker is spawned, not forked", "worker", name, "why", err)
		}
	}
	return p.starter.Spawn(g.spec, name, false, lines)
}

// start makes a worker and returns when it is ready. It is not in the pool yet, but it dies through buried.
func (p *Pool) start(ctx context.Context, g *generation) (*worker, hello, error) {
	p.mu.Lock()
	p.names++
	name := fmt.Sprintf("%s-%d", p.cfg.Name, p.names)
	p.mu.Unlock()
	limited, cancel := context.WithTimeout(ctx, p.cfg.StartTimeout)
	defer cancel()
	w := p.newWorker(name)
	proc, err := p.launch(limited, g, name, w.line)
	if err != nil {
		return nil, hello{}, problem.New("HR6004", "worker %s cannot be started: %w", name, err).At(g.spec.Python)
	}
	w.read = frame.NewReader(proc.Conn)
	h, err := p.greet(ctx, name, proc, w.read, &w.last)
	if err != nil {
		return nil, h, err
	}
	w.adopt(proc, proc.Conn, proc.Pid, h)
	select {
	case <-w.ready:
		return w, h, nil
	case <-w.gone:
		err = problem.New("HR6005", "worker %s died as it started", name).At(strings.Join(w.last.all(), "\n"))
	case <-limited.Done():
		err = problem.New("HR6003", "worker %s gave no credit within %s", name, p.cfg.StartTimeout)
		p.mu.Lock()
		w.kill("protocol")
		p.mu.Unlock()
	}
	return nil, h, err
}

// close ends the zygote.
func (g *generation) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if z := g.zygote; z != nil {
		g.zygote = nil
		_ = z.Signal(syscall.SIGKILL)
		go func() {
			<-z.Exited()
			z.Close()
		}()
	}
}
