package workers

import (
	"encoding/json"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/workers/frame"
	"github.com/headrace/headrace/internal/workers/process"
)

// proc is what a worker needs of its process: a local one, or a connection to a remote agent.
type proc interface {
	Signal(syscall.Signal) error
	Drain()  // hands over what was printed by now
	Settle() // called once it has said hello
	Exited() <-chan struct{}
	Exit() process.Exit
	Close()
}

// worker is one process and its connection.
type worker struct {
	pool   *Pool
	name   string
	pid    int
	remote bool // behind a connection, kept by its agent
	proc   proc
	conn   net.Conn
	read   *frame.Reader
	last   printed

	index map[string]uint16 // of its functions, from its hello
	kinds map[string]string

	// Guarded by the pool's lock.
	state    State
	reason   string // why it is ended by us: recycled, reload, drain, idle, timeout, cancelled, out_of_memory, protocol
	credit   int
	number   uint64 // of the last task
	gather   []*Run // not flushed
	order    []*Run // sent, in order; of sync functions the first one runs
	runs     map[uint64]*Run
	parcels  int // frames outstanding
	async    bool
	out      []outgoing
	writing  bool
	closed   bool      // nothing more is written
	since    time.Time // of the state
	started  time.Time
	tasks    int   // ended here
	limit    int   // tasks until it is recycled, 0 is none
	replaced bool  // its replacement is being made
	drained  bool  // it was told to exit after its tasks
	rss      int64 // bytes at the last look

	ready   chan struct{} // closed by its first credit
	gone    chan struct{} // closed when it is dead and buried
	wake    chan struct{}
	written chan struct{} // closed when the writer has ended
}

// outgoing is one thing to write: a parcel, or a frame that is ready, and a signal to send after it.
type outgoing struct {
	parcel *parcel
	frame  []byte
	signal syscall.Signal
}

func (p *Pool) newWorker(name string) *worker {
	now := time.Now()
	return &worker{pool: p, name: name, runs: map[uint64]*Run{}, ready: make(chan struct{}), gone: make(chan struct{}),
		wake: make(chan struct{}, 1), written: make(chan struct{}), since: now, started: now}
}

// adopt takes the process after its hello: the worker is welcomed, and is ready with its first credit.
func (w *worker) adopt(p proc, conn net.Conn, pid int, h hello) {
	w.proc, w.conn, w.pid = p, conn, pid
	w.index, w.kinds = map[string]uint16{}, map[string]string{}
	for i, f := range h.Functions {
		w.index[f.Name], w.kinds[f.Name] = uint16(i), f.Kind
	}
	if most := w.pool.cfg.MaxTasks; most > 0 {
		w.limit = max(1, most+int((rand.Float64()-0.5)*0.2*float64(most)))
	}
	welcome, _ := json.Marshal(map[string]any{"protocol": frame.Version, "worker": w.name, "pool": w.pool.cfg.Name, "spool": w.pool.spool})
	w.pool.mu.Lock()
	w.send(frame.Append(nil, frame.Welcome, 0, welcome), 0)
	w.pool.mu.Unlock()
	go w.write()
	go w.listen()
}

func (w *worker) setState(s State) {
	if w.state != s {
		w.state, w.since = s, time.Now()
	}
}

// accepts tells whether it may get tasks at all.
func (w *worker) accepts() bool { return w.state == Ready || w.state == Busy }

// leaving tells whether it was told, by us or by its agent, that it is to go.
func (w *worker) leaving() bool { return w.state >= Draining || w.credit == 0 }

// can tells whether it has the function.
func (w *worker) can(f *function) bool { return w.kinds[f.Name] == f.Kind }

// idle tells whether it has nothing to do.
func (w *worker) idle() bool { return len(w.runs) == 0 && len(w.gather) == 0 }

func (w *worker) signal(sig syscall.Signal) { _ = w.proc.Signal(sig) }

// send queues a frame and a signal that follows it. A writer that is held up by a worker which does not read gets the signal
// at once as well, for its handler reads what is waiting.
func (w *worker) send(f []byte, sig syscall.Signal) {
	if w.closed {
		return
	}
	if sig != 0 && w.writing {
		w.signal(sig)
	}
	w.out = append(w.out, outgoing{frame: f, signal: sig})
	w.nudge()
}

func (w *worker) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// kill ends the process now.
func (w *worker) kill(reason string) {
	if w.state == Dead {
		return
	}
	w.reason = reason
	w.setState(Stopping)
	w.signal(syscall.SIGKILL)
}

// retire lets it finish what it has and then exit, and tells it so; after the grace period the rest is cancelled with reason drain.
func (w *worker) retire(reason string) {
	if w.state >= Draining {
		return
	}
	w.reason = reason
	if w.state == Starting {
		w.kill(reason)
		return
	}
	w.seal(time.Now())
	w.setState(Draining)
	if len(w.runs) > 0 { // a task that looks for job.stopping may give itself back before the grace is over
		w.send(frame.Append(nil, frame.Drain, 0, nil), syscall.SIGUSR1)
		w.drained = true
	}
	w.leaveIfDone()
	grace := w.pool.cfg.Grace
	time.AfterFunc(grace, func() {
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		for _, r := range w.runs {
			r.cancel("drain")
		}
	})
}

// leaveIfDone sees to it that a draining worker without tasks exits.
func (w *worker) leaveIfDone() {
	if w.state != Draining || len(w.runs) > 0 {
		return
	}
	w.setState(Stopping)
	if !w.drained {
		w.send(frame.Append(nil, frame.Drain, 0, nil), 0)
	}
	time.AfterFunc(w.pool.cfg.CancelGrace, func() {
		w.pool.mu.Lock()
		defer w.pool.mu.Unlock()
		w.kill(w.reason)
	})
}

// seal turns what was gathered into a frame on its way.
func (w *worker) seal(now time.Time) {
	if len(w.gather) == 0 {
		return
	}
	p := &parcel{runs: w.gather, left: len(w.gather)}
	w.gather = nil
	w.dispatch(p, now)
}

func (w *worker) dispatch(p *parcel, now time.Time) {
	for _, r := range p.runs {
		w.number++
		r.stage, r.worker, r.number, r.parcel = sent, w, w.number, p
		w.runs[r.number] = r
		w.order = append(w.order, r)
		if w.async || p.batch != nil {
			r.begin(now)
		}
	}
	w.parcels++
	w.setState(Busy)
	w.advance(now)
	w.out = append(w.out, outgoing{parcel: p})
	w.nudge()
}

// advance lets the first unanswered task be the running one.
func (w *worker) advance(now time.Time) {
	for len(w.order) > 0 && w.order[0].stage == ended {
		w.order[0] = nil
		w.order = w.order[1:]
	}
	if len(w.order) > 0 && !w.order[0].running() {
		w.order[0].begin(now)
	}
}

// forget takes a task off the worker. The caller ends it towards its sink.
func (w *worker) forget(r *Run) {
	r.stage = ended
	r.stopClock()
	delete(w.runs, r.number)
	if r.parcel.left--; r.parcel.left == 0 {
		w.parcels--
	}
	w.tasks++
	w.pool.review(w)
	if len(w.runs) == 0 {
		w.order, w.async = nil, false
		if w.state == Busy {
			w.setState(Ready)
		}
		w.leaveIfDone()
	}
}

// head is the task that runs, nil if none or if several do.
func (w *worker) head() *Run {
	for _, r := range w.order {
		if r.stage != ended {
			if w.async && len(w.runs) > 1 {
				return nil
			}
			return r
		}
	}
	return nil
}

// printed is the last lines of a process.
type printed struct {
	mu    sync.Mutex
	lines []string
}

const lastLines = 20

func (p *printed) add(line []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.lines) == lastLines {
		copy(p.lines, p.lines[1:])
		p.lines = p.lines[:lastLines-1]
	}
	p.lines = append(p.lines, string(line))
}

func (p *printed) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}
