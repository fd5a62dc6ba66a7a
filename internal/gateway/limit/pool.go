package limit

import (
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/engine"
)

// pool asks the engine for leases. The engine holds one number for each key, the level of its bucket, which is changed by compare and set.
type pool struct {
	store  *Store
	engine *engine.Engine
	jobs   chan job
	quit   chan struct{}
	done   sync.WaitGroup
	once   sync.Once
	end    sync.Once
	down   atomic.Int64 // until then the engine is not asked

	mu   sync.Mutex
	conn *nats.Conn
	js   jetstream.JetStream

	patience, answerIn time.Duration // standard but in tests on a busy machine

	leases, conflicts, failures, late atomic.Uint64
}

// job is a lease that is asked for.
type job struct {
	shard *shard
	entry *entry
	rule  rule
}

const (
	stream   = "HEADRACE_LIMITS"
	subjects = "headrace.limits."
	mostKept = 1_000_000 // keys in the engine; beyond it the one that was not used for the longest time is forgotten
	askers   = 8
	queued   = 4096
	attempts = 16                     // when other nodes take of the same key at the same time
	answers  = 250 * time.Millisecond // the engine must not take longer
)

func (p *pool) init(s *Store, e *engine.Engine) {
	p.store, p.engine, p.jobs, p.quit = s, e, make(chan job, queued), make(chan struct{})
	p.patience, p.answerIn = patience, answers
}

func (p *pool) close() {
	p.end.Do(func() { close(p.quit) })
	p.once.Do(func() {}) // none begins any more
	p.done.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn != nil {
		p.conn.Close()
	}
}

// ask lets the engine be asked for a lease, unless it is already. It is false if it cannot be asked now. The shard is locked.
func (p *pool) ask(sh *shard, e *entry, r rule) bool {
	if e.lease.asking != nil {
		return true
	}
	if p.engine == nil || p.down.Load() > p.store.now() {
		return false
	}
	select {
	case <-p.quit:
		return false
	default:
	}
	p.once.Do(func() {
		for range askers {
			p.done.Go(p.work)
		}
	})
	arrived := make(chan struct{})
	select {
	case p.jobs <- job{sh, e, r}:
		e.lease.asking = arrived
		return true
	default:
		return false
	}
}

func (p *pool) work() {
	for {
		select {
		case j := <-p.jobs:
			p.serve(j)
		case <-p.quit:
			return
		}
	}
}

func (p *pool) serve(j job) {
	j.shard.mu.Lock()
	le := j.entry.lease
	want, debt, level, revision := j.rule.batch-le.left, max(0, -le.left), le.level, le.revision
	j.shard.mu.Unlock()

	grant, level, revision, err := p.lease(le.subject, j.rule, want, debt, level, revision)

	now, wall := p.store.now(), time.Now().UnixNano()
	j.shard.mu.Lock()
	defer j.shard.mu.Unlock()
	close(le.asking)
	le.asking = nil
	if err != nil {
		p.failures.Add(1)
		le.alone = now + int64(solitude)
		if p.down.Swap(now+int64(solitude)) < now-int64(solitude) {
			p.store.log.Warn("engine does not answer: shared limits are counted by this node alone", "error", err)
		}
		return
	}
	ahead := max(0, level-wall)
	le.left += grant
	le.level, le.revision, le.alone = level, revision, 0
	le.remaining = max(0, (j.rule.depth-ahead)/j.rule.interval)
	le.closed = 0
	if le.remaining == 0 {
		le.closed = now + ahead + j.rule.interval - j.rule.depth
	}
	j.entry.full = now + ahead
}

// lease raises the level of a key by as many requests as are wanted and there, and by a debt in any case.
func (p *pool) lease(subject string, r rule, want, debt, level int64, revision uint64) (int64, int64, uint64, error) {
	ctx, cancel := context.WithTimeout(context.Background(), p.answerIn)
	defer cancel()
	js, err := p.open(ctx)
	if err != nil {
		return 0, level, revision, err
	}
	for range attempts {
		wall := time.Now().UnixNano()
		base := max(level, wall)
		grant := max(debt, min(want, (wall+r.depth-base)/r.interval))
		if grant <= 0 {
			return 0, level, revision, nil // it only grows, so an old one does to say no
		}
		next := base + grant*r.interval
		ack, err := js.Publish(ctx, subject, binary.BigEndian.AppendUint64(nil, uint64(next)), jetstream.WithExpectLastSequencePerSubject(revision),
			jetstream.WithMsgTTL(time.Duration(next-wall).Truncate(time.Second)+2*time.Second), jetstream.WithRetryAttempts(0))
		if err == nil {
			p.leases.Add(1)
			return grant, next, ack.Sequence, nil
		}
		if !isConflict(err) {
			return 0, level, revision, err
		}
		p.conflicts.Add(1)
		if level, revision, err = read(ctx, js, subject); err != nil {
			return 0, level, revision, err
		}
	}
	return 0, level, revision, errors.New("too many nodes take of one limit at the same time")
}

func read(ctx context.Context, js jetstream.JetStream, subject string) (level int64, revision uint64, err error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, 0, err
	}
	m, err := s.GetLastMsgForSubject(ctx, subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, 0, nil
	case err != nil:
		return 0, 0, err
	case len(m.Data) != 8:
		return 0, m.Sequence, nil
	}
	return int64(binary.BigEndian.Uint64(m.Data)), m.Sequence, nil
}

func isConflict(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == wrongLastConstant)
}

// wrongLastConstant is what a server of 2.12 and later says instead.
const wrongLastConstant = 10164

// open connects at the first use.
func (p *pool) open(ctx context.Context) (jetstream.JetStream, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.js != nil {
		return p.js, nil
	}
	if p.conn == nil {
		conn, err := p.engine.Connect("limits")
		if err != nil {
			return nil, err
		}
		p.conn = conn
	}
	js, err := jetstream.New(p.conn)
	if err != nil {
		return nil, err
	}
	if _, err := p.engine.Stream(ctx, js, jetstream.StreamConfig{
		Name: stream, Subjects: []string{subjects + "*"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy, Discard: jetstream.DiscardOld,
		MaxMsgsPerSubject: 1, MaxMsgs: mostKept, AllowDirect: true, AllowMsgTTL: true, Duplicates: time.Second,
	}); err != nil {
		return nil, err
	}
	p.js = js
	return js, nil
}
