// Package jobs is the durable queue. Its state is held in memory, every change of it is a record in the journal (see journal.go), and
// nothing is answered or shown before the record is committed. A start reads the journal again and arrives at the same state.
//
// The SQLite index is a projection for lists and for jobs that have ended; it can be deleted and is rebuilt from the journal.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/oklog/ulid/v2"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/workers"
)

// Jobs is the plane.
type Jobs struct {
	config    *config.Config
	engine    *engine.Engine
	functions *functions.Registry
	log       *slog.Logger
	journal   *journal
	stream    jetstream.Stream
	conn      *nats.Conn
	index     *index
	Metrics   *Metrics
	traces    *observe.Traces

	operations Operations // nil if there are none

	mu         sync.Mutex
	live       map[ID]*job
	recent     map[ID]*job // ended and committed, not yet in the index
	queues     map[string]*queue
	uniques    map[string]*job // pending unique jobs
	keys       map[string]keyUse
	dependents map[ID][]*job // jobs that wait for this one
	timers     timers
	crons      map[string]*cron
	pools      map[string]*workers.Pool
	ids        *ulid.MonotonicEntropy
	random     *rand.Rand
	argBytes   int64 // of arguments held in memory
	replaying  bool
	dirty      []*job // changed since the last round of the indexer
	young      []*job // changed before it, kept back because they may end soon
	writing    []*job // being written by the round that is on
	closing    bool   // no job starts any more
	stopped    bool

	committedSeq uint64 // journal sequence of the last commit
	trimmed      uint64 // journal sequence below which it was purged; owned by the retention loop

	wake    chan struct{}      // to the dispatcher
	tick    chan struct{}      // to the timer
	flushes chan chan struct{} // to the indexer
	stirred chan struct{}      // the same: there are dirty jobs again
	running context.Context    // until stop
	stop    context.CancelFunc
	loops   sync.WaitGroup
	frames  frameCache
}

// keyUse is a remembered idempotency key.
type keyUse struct {
	id   ID
	hash uint64
	at   time.Time
	seq  uint64 // journal message that tells it, or one before; 0 until committed
}

// Open reads the journal of this node and begins to accept jobs. Jobs run once SetPool was called.
func Open(ctx context.Context, cfg *config.Config, eng *engine.Engine, fns *functions.Registry, log *slog.Logger) (*Jobs, error) {
	conn, err := eng.Connect("jobs")
	if err != nil {
		return nil, err
	}
	js, err := jetstream.New(conn)
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("jobs: %w", err)
	}
	subject, name := "hr.jobs."+cfg.Node, "HR_JOBS_"+cfg.Node
	stream, err := eng.Stream(ctx, js, jetstream.StreamConfig{
		Name: name, Subjects: []string{subject}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		Replicas: cfg.Engine.Replicas, AllowDirect: true, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		conn.Close()
		return nil, err
	}
	seed := rand.NewPCG(rand.Uint64(), rand.Uint64())
	j := &Jobs{
		config: cfg, engine: eng, functions: fns, log: log, conn: conn, stream: stream,
		live: map[ID]*job{}, recent: map[ID]*job{}, queues: map[string]*queue{}, uniques: map[string]*job{}, keys: map[string]keyUse{},
		dependents: map[ID][]*job{}, crons: map[string]*cron{}, pools: map[string]*workers.Pool{},
		random: rand.New(seed), ids: ulid.Monotonic(randomReader{rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}, 0),
		wake: make(chan struct{}, 1), tick: make(chan struct{}, 1), flushes: make(chan chan struct{}), stirred: make(chan struct{}, 1),
	}
	j.Metrics = newMetrics(j)
	j.journal = &journal{
		js: js, node: cfg.Node, stream: name, subject: subject, external: cfg.Engine.URL != "", writer: nats.NewInbox(), commit: eng.Commit, log: log,
		committed: j.committed, broken: make(chan struct{}),
	}
	if j.index, err = openIndex(filepath.Join(cfg.Engine.Data, "jobs-"+cfg.Node+".db"), log); err != nil {
		conn.Close()
		return nil, err
	}
	last, err := j.replay(ctx)
	if err != nil {
		conn.Close()
		j.index.close()
		return nil, err
	}
	running, stop := context.WithCancel(context.Background())
	j.running, j.stop = running, stop
	j.committedSeq = last
	j.journal.start(last)
	for _, loop := range []func(context.Context){j.dispatching, j.timing, j.indexing, j.retaining} {
		j.loops.Add(1)
		go func() { defer j.loops.Done(); loop(running) }()
	}
	fns.OnChange(j.functionsChanged)
	return j, nil
}

// SetPool lets the jobs of the pool's functions run. Call it once for each pool, after its functions are in the registry.
func (j *Jobs) SetPool(pool *workers.Pool) {
	j.mu.Lock()
	j.pools[pool.Name()] = pool
	j.mu.Unlock()
	pool.OnFree(j.kick)
	j.functionsChanged()
}

// Stop ends the plane: no job starts any more, what runs is expected to have been drained by its pool. Everything recorded is
// committed when it returns nil.
func (j *Jobs) Stop(ctx context.Context) error {
	j.Quiesce()
	j.mu.Lock()
	first := !j.stopped
	j.stopped = true
	j.mu.Unlock()
	err := j.journal.stop(ctx)
	if first {
		j.stop()
		j.loops.Wait()
		j.conn.Close()
		if e := j.index.close(); err == nil {
			err = e
		}
	}
	return err
}

// Quiesce stops dispatching: no further job starts. It is the first step of a drain.
func (j *Jobs) Quiesce() {
	j.mu.Lock()
	j.closing = true
	j.mu.Unlock()
}

// Broken is closed when the journal can no longer be written; what was not acknowledged by then never will be.
func (j *Jobs) Broken() <-chan struct{} { return j.journal.broken }

// kick wakes the dispatcher.
func (j *Jobs) kick() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// queue returns the queue of this name, making it on first use.
func (j *Jobs) queue(name string) *queue {
	q := j.queues[name]
	if q == nil {
		q = newQueue(name, j.config.Queue(name))
		j.queues[name] = q
	}
	return q
}

// lineOf is where the job stands when it is ready: with the pool of its function.
func (j *Jobs) lineOf(b *job) *line {
	pool := ""
	if fn := j.functions.Find(b.Function); fn != nil {
		pool = fn.Pool.Name()
	}
	return j.queue(b.Queue).line(pool)
}

// functionsChanged moves ready jobs to the lines of the pools that have their functions now, and renews the schedules.
func (j *Jobs) functionsChanged() {
	j.mu.Lock()
	for _, q := range j.queues {
		var moved []*job
		for _, l := range q.lines {
			for p := range l.lanes {
				for _, t := range l.lanes[p].turns {
					for _, b := range t.jobs[t.first:] {
						if b != nil && b.turn == t {
							moved = append(moved, b)
						}
					}
				}
			}
		}
		q.lines = map[string]*line{}
		for _, k := range q.keys {
			k.parked = nil
		}
		sortJobs(moved)
		for _, b := range moved {
			b.turn = nil
			j.lineOf(b).push(b, false)
		}
	}
	j.planCrons(time.Now())
	j.mu.Unlock()
	j.kick()
}

// randomReader feeds ids; they need to be unique, not secret.
type randomReader struct{ *rand.Rand }

func (r randomReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return len(p), nil
}

// newID makes the next id of this process. Guarded by mu.
func (j *Jobs) newID(now time.Time) ID {
	id, err := ulid.New(ulid.Timestamp(now), j.ids)
	if err != nil {
		panic("jobs: id: " + err.Error()) // the clock is after the year 10889, or 2^80 ids in a millisecond
	}
	return id
}
