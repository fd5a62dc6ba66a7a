// Package workers runs functions in processes: pools of identical workers that are spawned or forked from a zygote, fed by
// credit, watched, cancelled step by step, recycled and replaced. It knows tasks and their ends, not why they were wanted.
package workers

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/process"
)

// Pool is a number of identical processes of one app.
type Pool struct {
	cfg     Config
	host    Host
	log     *slog.Logger
	starter *process.Starter
	spool   string
	ctx     context.Context // of everything in the background
	stop    context.CancelFunc
	onFree  atomic.Pointer[func()]
	turning sync.Mutex // held by Reload, Restart and Stop

	mu       sync.Mutex
	gen      *generation
	workers  []*worker // in the order of their start, dead ones removed
	names    int
	want     int // workers to have
	growing  int // starts under way that count towards want
	calls    []*Run
	redo     []*group
	closing  bool
	failures int            // starts that failed in a row
	sick     *problem.Error // why the pool is unhealthy
	probing  bool           // whether there should be more workers is being looked at
	cpu      float64        // how busy the machine was lately, 0 to 1
	deaths   map[string]int
	oomKills int64
}

// Open starts a pool. It returns once the app is imported and Min workers are ready, or with HR6010 (no app), HR6004 (no
// Python), HR6002 (import failed; Where holds the traceback), HR6003 (too slow) or HR6005 (died before its hello).
func Open(ctx context.Context, cfg Config, host Host, log *slog.Logger) (*Pool, error) {
	cfg = cfg.withDefaults()
	p := &Pool{cfg: cfg, host: host, log: log.With("pool", cfg.Name), want: cfg.Min, deaths: map[string]int{}, oomKills: kernelKills()}
	var spec process.Spec
	var err error
	if !cfg.Remote {
		if spec, err = cfg.spec(); err != nil {
			return nil, err
		}
	}
	p.spool = cfg.Spool
	if p.spool == "" {
		if p.spool, err = os.MkdirTemp("", "headrace-spool-"); err != nil {
			return nil, problem.New("HR7004", "no spool folder: %w", err)
		}
	}
	if p.spool, err = filepath.Abs(p.spool); err == nil {
		err = os.MkdirAll(p.spool, 0o700)
	}
	if err != nil {
		return nil, problem.New("HR7004", "no spool folder: %w", err)
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.starter = process.NewStarter()
	gen, first := &generation{byName: map[string]*function{}}, []*worker(nil)
	if !cfg.Remote {
		gen, first, err = p.generate(ctx, spec, cfg.Min)
	}
	if err != nil {
		_ = p.Stop(context.Background())
		return nil, err
	}
	p.mu.Lock()
	p.gen = gen
	p.workers = first
	p.mu.Unlock()
	go p.tend()
	return p, nil
}

// Name is the pool's name.
func (p *Pool) Name() string { return p.cfg.Name }

// Spool is the folder where workers leave blobs.
func (p *Pool) Spool() string { return p.spool }

// Functions are those of the current code; of a pool with only remote workers those that the last of them brought, none before.
func (p *Pool) Functions() []Function {
	p.mu.Lock()
	defer p.mu.Unlock()
	list := make([]Function, len(p.gen.functions))
	for i, f := range p.gen.functions {
		list[i] = f.Function
	}
	return list
}

// credited takes a worker's word on how much it can hold; the first one makes it ready.
func (p *Pool) credited(w *worker, credit int) {
	p.mu.Lock()
	first := w.state == Starting
	w.credit = credit
	if first {
		w.setState(Ready)
		w.started = w.since
		close(w.ready)
	}
	serving := p.gen != nil && !p.closing
	if serving {
		p.serve(time.Now())
	}
	p.mu.Unlock()
	if first {
		p.host.WorkerStarted(w.name, w.pid)
	}
	if serving {
		p.tellFree()
	}
}

// buried is called once for every worker that said hello, when its process is gone and all it sent was read.
func (p *Pool) buried(w *worker) {
	now := time.Now()
	exit := w.proc.Exit()
	p.mu.Lock()
	early := !w.remote && w.tasks == 0 && len(w.runs) == 0 && now.Sub(w.started) < max(time.Second, 2*backoff(p.failures))
	if far, ok := w.proc.(*distant); ok && w.reason == "" && planned(far.reason) {
		w.reason = far.reason
	}
	death := p.deathOf(w, exit)
	meant := w.reason != "" || p.closing
	w.setState(Dead)
	ends := p.autopsy(w, death, exit, now)
	p.workers = slices.DeleteFunc(p.workers, func(o *worker) bool { return o == w })
	p.deaths[death.Reason]++
	if early && !meant {
		p.failedStart(death.Last)
	}
	p.refill()
	close(w.gone)
	if p.gen != nil && !p.closing {
		p.serve(now)
	}
	p.mu.Unlock()
	for _, e := range ends {
		e.run.done(e.outcome)
	}
	p.host.WorkerDied(w.name, w.pid, death)
	p.tellFree()
}
