package jobs

import (
	"context"
	"hash/fnv"
	"strings"
	"time"
	"unique"

	"github.com/cespare/xxhash/v2"

	"github.com/headrace/headrace/internal/fault"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// Request asks for a job. Zero options take the function's, then the queue's.
type Request struct {
	Function    string
	Args        []byte // JSON object
	Queue       string
	Delay       time.Duration
	RunAt       time.Time
	Expires     time.Duration // from now
	Deadline    time.Time     // absolute; the earlier of both counts
	Priority    string
	Key         string
	KeyLimit    int
	Unique      string // args, the name of an argument, or any text
	Newest      *bool
	Retries     *int
	Timeout     time.Duration
	Tags        []string
	Idempotency string
	After       []ID
	Continue    bool
	Trace       string
	Parent      ID
	BodyHash    uint64                         // set by the caller together with Idempotency
	Caller      unique.Handle[identity.Caller] // who asks; the zero handle is nobody

	cron string
}

// Identify scopes the idempotency key to the function and adds the hash that tells a repeated request from another one.
func (r *Request) Identify(options []byte) {
	h := xxhash.New()
	for _, part := range [][]byte{[]byte(r.Function), functions.Canonical(r.Args), options} {
		_, _ = h.Write(part)
		_, _ = h.Write([]byte{0})
	}
	r.BodyHash = h.Sum64()
	r.Idempotency = r.Function + "/" + r.Idempotency
}

// Receipt is the answer to a request.
type Receipt struct {
	ID        ID
	State     State
	Duplicate bool // the job was there already: same idempotency key, or a unique one pending
	Err       error

	committed chan struct{}
}

// receipt counts the records of one call that are not yet committed.
type receipt struct {
	left int // guarded by Jobs.mu
	done chan struct{}
}

// Enqueue stores jobs and returns when they are as durable as configured. Each request stands alone: its receipt carries its own
// error. The error of the whole is that of the engine or the context; the jobs may then exist or not.
func (j *Jobs) Enqueue(ctx context.Context, requests []Request) ([]Receipt, error) {
	if err := j.engine.Admit(); err != nil {
		return nil, err
	}
	return j.store(ctx, requests)
}

// store is Enqueue without asking whether new work is taken. What a running job enqueues is part of it, and goes into the space that is kept
// free for what runs.
func (j *Jobs) store(ctx context.Context, requests []Request) ([]Receipt, error) {
	receipts := make([]Receipt, len(requests))
	specs := make([]*Spec, len(requests))
	now := time.Now()
	for i := range requests {
		specs[i], receipts[i].Err = j.spec(&requests[i], now)
	}
	fault.Point("enqueue.checked")
	wait := &receipt{done: make(chan struct{})}
	j.mu.Lock()
	if err := j.journal.ready(); err != nil {
		j.mu.Unlock()
		return nil, err
	}
	for i, s := range specs {
		if s != nil {
			receipts[i] = j.admit(s, now, wait)
		}
	}
	waiting := wait.left > 0
	j.mu.Unlock()
	if waiting {
		if err := j.await(ctx, wait.done); err != nil {
			return nil, err
		}
	}
	for i := range receipts {
		if c := receipts[i].committed; c != nil {
			if err := j.await(ctx, c); err != nil {
				return nil, err
			}
		}
	}
	fault.Point("enqueue.answering")
	return receipts, nil
}

// await waits for a commit.
func (j *Jobs) await(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-j.journal.broken:
		return j.journal.ready()
	case <-ctx.Done():
		return problem.New("HR5001", "gave up waiting for the commit: %w", ctx.Err())
	}
}

// spec resolves a request against its function and queue, without touching any state.
func (j *Jobs) spec(r *Request, now time.Time) (*Spec, error) {
	fn, err := j.functions.Get(r.Function)
	if err != nil {
		return nil, err
	}
	if fn.Kind == functions.Call {
		return nil, problem.New("HR2011", "%s is a call", fn.Name).At(fn.Name).Hinting("POST /v1/calls/%s", fn.Name)
	}
	if err := fn.Validate(r.Args); err != nil {
		return nil, err
	}
	if int64(len(r.Args)) > int64(j.config.Jobs.Inline) {
		return nil, problem.New("HR1003", "arguments of %s are %d bytes, the limit is %s", fn.Name, len(r.Args), j.config.Jobs.Inline).
			At("/args").Hinting("upload large values with PUT /v1/blobs and pass {\"$blob\": …}, or raise jobs.inline")
	}
	o := &fn.Options
	s := &Spec{Function: fn.Name, Args: r.Args, Created: now, Queue: first(r.Queue, o.Queue, "default")}
	q := j.config.Queue(s.Queue)
	priority, ok := ParsePriority(first(r.Priority, o.Priority))
	if !ok {
		return nil, problem.New("HR2004", "no priority %q", r.Priority).At("priority").Hinting("use low, normal, high or critical")
	}
	s.Priority = priority
	p := Policy{
		Retries: q.Retries, Backoff: q.Backoff, BackoffMax: q.BackoffMax, Timeout: firstDuration(r.Timeout, secs(o.Timeout), q.Timeout),
		QueueTimeout: secs(o.QueueTimeout), KeyLimit: o.KeyLimit, Newest: o.UniquePolicy == "newest", Continue: r.Continue,
	}
	if o.Backoff > 0 {
		p.Backoff = secs(o.Backoff)
	}
	if o.BackoffMax > 0 {
		p.BackoffMax = secs(o.BackoffMax)
	}
	if o.Retries != nil {
		p.Retries = *o.Retries
	}
	if r.Retries != nil {
		p.Retries = *r.Retries
	}
	if r.Newest != nil {
		p.Newest = *r.Newest
	}
	rare := Rare{
		Key: r.Key, Unique: r.Unique, Idempotency: r.Idempotency, BodyHash: r.BodyHash, Trace: r.Trace, Cron: r.cron,
		Tags: r.Tags, Parent: r.Parent, After: r.After, Caller: r.Caller,
	}
	if rare.Tags == nil {
		rare.Tags = o.Tags
	}
	if err := rare.named(fn, o, r.Args); err != nil {
		return nil, err
	}
	if r.KeyLimit > 0 {
		p.KeyLimit = r.KeyLimit
	}
	if rare.Key != "" && p.KeyLimit == 0 {
		p.KeyLimit = 1
	}
	s.RunAt = r.RunAt
	if r.Delay > 0 && !r.RunAt.IsZero() {
		return nil, problem.New("HR2004", "both delay and run_at are given").At("delay").Hinting("use one of them")
	}
	if r.Delay > 0 {
		s.RunAt = now.Add(r.Delay)
	}
	if d := firstDuration(r.Expires, secs(o.Expires)); d > 0 {
		s.Expires = now.Add(d)
	}
	if !r.Deadline.IsZero() && (s.Expires.IsZero() || r.Deadline.Before(s.Expires)) {
		s.Expires = r.Deadline
	}
	s.Policy = unique.Make(p)
	s.setRare(rare)
	return s, nil
}

// named fills the key and the unique value from the arguments that the function or the request names.
func (r *Rare) named(fn *functions.Function, o *workers.Options, args []byte) error {
	if o.Key != "" && r.Key == "" {
		v, err := fn.Argument(args, o.Key)
		if err != nil {
			return problem.New("HR2002", "%s: %w", fn.Name, err).At("/args/" + o.Key)
		}
		r.Key = v
	}
	if r.Unique == "" {
		r.Unique = o.Unique
	}
	switch {
	case r.Unique == "":
		return nil
	case r.Unique == "args":
		h := fnv.New128a()
		h.Write(fn.Whole(args))
		r.Unique = string(h.Sum(nil))
	case fn.Takes(r.Unique):
		v, err := fn.Argument(args, r.Unique)
		if err != nil {
			return problem.New("HR2002", "%s: %w", fn.Name, err).At("/args/" + r.Unique)
		}
		r.Unique = v
	}
	r.Unique = fn.Name + "\x00" + r.Unique
	return nil
}

// admit decides about one job under the lock and records it.
func (j *Jobs) admit(s *Spec, now time.Time, wait *receipt) Receipt {
	if s.Idempotency != "" {
		if use, ok := j.keys[s.Idempotency]; ok && now.Sub(use.at) < j.config.Jobs.Idempotency {
			if use.hash != s.BodyHash {
				return Receipt{Err: problem.New("HR2005", "idempotency key %q belongs to job %s with another body", s.givenKey(), use.id).At("Idempotency-Key")}
			}
			return j.existing(use.id)
		}
	}
	if s.Unique != "" {
		if old := j.uniques[s.Unique]; old != nil {
			if !s.Policy.Value().Newest {
				return j.existing(old.ID)
			}
			if old.state != Running {
				j.end(old, Cancelled, nil, &Attempt{Ending: "cancelled", Ended: now, Number: old.number(), Run: old.runs,
					Error: cancelled("replaced by a newer job")}, now)
			}
		}
	}
	q := j.queue(s.Queue)
	if q.pending >= q.config.MaxPending {
		return Receipt{Err: problem.New("HR2006", "queue %s holds %d jobs", q.name, q.pending).At(q.name)}
	}
	s.ID = j.newID(now)
	b := newJob(s)
	for _, id := range s.After {
		if err := j.checkParent(id); err != nil {
			return Receipt{Err: err}
		}
	}
	b.events = 1
	wait.left++
	if err := j.journal.append([]ticket{{kind: recEnqueue, job: b, event: 1, waiter: wait}}, record{kind: recEnqueue, spec: s}); err != nil {
		wait.left--
		return Receipt{Err: err}
	}
	j.adopt(b)
	return Receipt{ID: s.ID, State: b.state}
}

// givenKey is the idempotency key as the client gave it, without whose it is.
func (s *Spec) givenKey() string {
	key, _, _ := strings.Cut(strings.TrimPrefix(s.Idempotency, s.Function+"/"), "\x00")
	return key
}

// existing is the receipt for a job that is there already; it waits for that job's own commit.
func (j *Jobs) existing(id ID) Receipt {
	r := Receipt{ID: id, Duplicate: true, State: Succeeded}
	if b := j.live[id]; b != nil {
		r.State = b.seen()
		if b.seq == 0 {
			m := b.extra()
			r.committed = make(chan struct{})
			m.starters = append(m.starters, r.committed)
		}
	} else if s, known := j.stateOf(id); known {
		r.State = s
	}
	return r
}

// checkParent refuses a job that would wait for one that nobody knows.
func (j *Jobs) checkParent(id ID) error {
	if _, known := j.stateOf(id); !known {
		return problem.New("HR2007", "no job %s to come after", id).At("after")
	}
	return nil
}

// stateOf is the state of any job that is still known. Called under mu.
func (j *Jobs) stateOf(id ID) (State, bool) {
	if b := j.find(id); b != nil {
		return b.seen(), true
	}
	r, err := j.index.get(id)
	if err != nil {
		return 0, false
	}
	return r.state, true
}

// adopt makes a job live: it counts, holds its unique value and key, and knows what it waits for. It is not in line yet.
func (j *Jobs) adopt(b *job) {
	j.live[b.ID] = b
	q := j.queue(b.Queue)
	q.pending++
	if b.Unique != "" {
		j.uniques[b.Unique] = b
	}
	if b.Idempotency != "" {
		j.keys[b.Idempotency] = keyUse{id: b.ID, hash: b.BodyHash, at: b.Created, seq: b.seq}
	}
	for _, id := range b.After {
		if j.live[id] != nil {
			b.extra().parents++
			j.dependents[id] = append(j.dependents[id], b)
		}
	}
	j.argBytes += b.held()
	b.state = Waiting
	switch {
	case b.more != nil && b.parents > 0:
	case b.RunAt.After(b.Created):
		b.state = Scheduled
	default:
		b.state = Ready
	}
	q.counts[b.state]++
}

func secs(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func first(names ...string) string {
	for _, n := range names {
		if n != "" {
			return n
		}
	}
	return ""
}

func firstDuration(ds ...time.Duration) time.Duration {
	for _, d := range ds {
		if d > 0 {
			return d
		}
	}
	return 0
}
