package jobs

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/workers"
)

// job is a live job: one that has not ended, or whose end is not committed yet. All fields are guarded by Jobs.mu.
type job struct {
	*Spec
	seq      uint64 // journal message of its enqueue or carry record; 0 until committed
	state    State
	before   State     // the state before the end, shown until the end is committed
	ending   bool      // the end is recorded and waits for its commit; state is the terminal one already
	runs     uint32    // starts; the fencing number of the current or last run
	failures uint32    // runs that failed or timed out since the job began or was retried by hand
	crashes  uint32    // runs that killed their worker, likewise
	due      time.Time // RunAt as it was asked for; a retry changes RunAt
	events   uint32    // number of the last event
	visible  uint32    // number of the last committed event
	run      *run      // while running
	turn     *turn     // while ready and in line
	slot     int       // index in the timers, -1 if none
	wake     time.Time
	readyAt  time.Time
	started  time.Time // of the last run
	finished time.Time
	worker   string
	dirty    bool // waits for the indexer
	touched  time.Time
	endSeq   uint64
	result   []byte
	*more
}

// more holds what a job needs only once it has run or is watched.
type more struct {
	history    []Event
	attempts   []Attempt // that failed; the last one too if the job did not succeed
	checkpoint []byte
	progress   []byte
	logged     int // bytes of log, chunks and their number are bounded
	lines      int
	truncated  bool
	large      bool // the result is a blob; what is recorded is a largeResult
	watchers   []*watcher
	starters   []chan struct{} // closed when the enqueue is committed
	waiters    []chan struct{} // closed when the end is committed
	parents    int             // jobs it still waits for
	blobs      []blob.Digest   // that its arguments and its result refer to
	holdsKey   bool
	cancel     string // reason, once somebody asked for it
}

// extra makes room for the rare part.
func (b *job) extra() *more {
	if b.more == nil {
		b.more = &more{}
	}
	return b.more
}

// told is how many bytes the history takes.
func (b *job) told() (size int) {
	if b.more != nil {
		for i := range b.history {
			size += len(b.history[i].Data) + 32
		}
	}
	return size
}

func newJob(spec *Spec) *job {
	b := &job{Spec: spec, due: spec.RunAt, slot: -1, state: Waiting}
	b.refer(spec.Args)
	return b
}

// refer notes the blobs that a document of the job refers to.
func (b *job) refer(doc []byte) {
	if found := blobsIn(doc); found != nil {
		b.extra().blobs = append(b.blobs, found...)
	}
}

// plain tells whether the history of an ended job follows from its times: ready, running once, ended.
func (b *job) plain() bool { return b.runs == 1 && b.events == 3 }

// seen is the state that may be shown: an end counts once it is committed.
func (b *job) seen() State {
	if b.ending && b.endSeq == 0 {
		return b.before
	}
	return b.state
}

// ended is when the job ended, zero until that is committed.
func (b *job) ended() time.Time {
	if b.endSeq == 0 {
		return time.Time{}
	}
	return b.finished
}

// number is the attempt that a run starting now would be.
func (b *job) number() int { return int(b.failures+b.crashes) + 1 }

// note adds an event to the history and returns its number.
func (b *job) note(at time.Time, kind string, data []byte) uint32 {
	b.events++
	m := b.extra()
	if m.history == nil {
		m.history = make([]Event, 0, 3) // a plain job has no more
	}
	m.history = append(m.history, Event{N: b.events, At: at, Kind: kind, Data: data})
	return b.events
}

// stateEvent is the data of a state event.
type stateEvent struct {
	State   string    `json:"state"`
	Attempt int       `json:"attempt,omitempty"`
	Worker  string    `json:"worker,omitempty"`
	RunAt   time.Time `json:"run_at,omitzero"`
	Error   string    `json:"error,omitempty"`
}

// firstEvents are the events of most jobs, by state.
var firstEvents = map[string][]byte{}

func init() {
	for _, s := range []State{Running, Succeeded} {
		firstEvents[s.String()] = stateEvent{State: s.String(), Attempt: 1}.json()
	}
}

// json is the event as JSON, which nobody may change.
func (e stateEvent) json() []byte {
	if e == (stateEvent{State: e.State, Attempt: 1}) {
		if known := firstEvents[e.State]; known != nil {
			return known
		}
	}
	b, err := json.Marshal(e)
	if err != nil {
		panic("jobs: event: " + err.Error())
	}
	return b
}

// blame adds an attempt to the list that the API shows, keeping the newest 20.
func (b *job) blame(a Attempt) {
	const most = 20
	m := b.extra()
	m.attempts = append(m.attempts, a)
	if len(m.attempts) > most {
		m.attempts = m.attempts[len(m.attempts)-most:]
	}
}

// error is the summary of the last failed attempt.
func (b *job) error() string {
	if b.more == nil || len(b.attempts) == 0 || b.state == Succeeded {
		return ""
	}
	return b.attempts[len(b.attempts)-1].summary()
}

// delay is the wait before the next attempt: exponential, with up to a fifth of jitter, so that jobs that failed together do not come
// back together.
func (b *job) delay(random float64) time.Duration {
	p := b.Policy.Value()
	d := p.Backoff
	for range b.failures - 1 {
		if d >= p.BackoffMax {
			break
		}
		d *= 2
	}
	d = min(d, p.BackoffMax)
	return d - time.Duration(random*float64(d)/5)
}

// meta is what the worker is told of the job, beside its arguments.
type meta struct {
	ID         string          `json:"id"`
	Attempt    int             `json:"attempt"`
	Queue      string          `json:"queue"`
	Key        string          `json:"key,omitempty"`
	Deadline   float64         `json:"deadline,omitempty"`
	Trace      string          `json:"trace,omitempty"`
	Checkpoint json.RawMessage `json:"checkpoint,omitempty"`
	Tags       []string        `json:"tags,omitempty"`
	Enqueued   float64         `json:"enqueued"`
	Parts      []part          `json:"parts,omitempty"`
	User       string          `json:"user,omitempty"`
	Method     string          `json:"method,omitempty"`
	Claims     json.RawMessage `json:"claims,omitempty"`
}

// part is the outcome of a job that this one comes after.
type part struct {
	ID     string             `json:"id"`
	State  string             `json:"state"`
	Result json.RawMessage    `json:"result,omitempty"`
	Error  *workers.TaskError `json:"error,omitempty"`
}

func seconds(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// plainMeta is meta of a job that has nothing special, as JSON; nil if it has. It is written by hand because it is done for every job.
func (b *job) plainMeta(caller identity.Caller, traced string, limit time.Duration, now time.Time, parts []part) []byte {
	odd := func(c rune) bool { return c < ' ' || c > '~' || c == '"' || c == '\\' }
	if b.Key != "" || traced != "" || b.Tags != nil || parts != nil || caller != (identity.Caller{}) || b.more != nil && b.checkpoint != nil || strings.ContainsFunc(b.Queue, odd) {
		return nil
	}
	text := append(make([]byte, 0, 160), `{"id":"`...)
	text = append(text, make([]byte, ulid.EncodedSize)...)
	_ = b.ID.MarshalTextTo(text[len(text)-ulid.EncodedSize:]) // fails for other sizes only
	text = strconv.AppendInt(append(text, `","attempt":`...), int64(b.number()), 10)
	text = append(append(append(text, `,"queue":"`...), b.Queue...), `","enqueued":`...)
	text = strconv.AppendFloat(text, seconds(b.Created), 'f', -1, 64)
	if limit > 0 {
		text = strconv.AppendFloat(append(text, `,"deadline":`...), seconds(now.Add(limit)), 'f', -1, 64)
	}
	return append(text, '}')
}

func (b *job) meta(caller identity.Caller, traced string, limit time.Duration, now time.Time, parts []part) []byte {
	if text := b.plainMeta(caller, traced, limit, now, parts); text != nil {
		return text
	}
	m := meta{ID: b.ID.String(), Attempt: b.number(), Queue: b.Queue, Key: b.Key, Trace: traced, Tags: b.Tags, Enqueued: seconds(b.Created), Parts: parts,
		User: caller.User, Method: caller.Method}
	if caller.Claims != "" {
		m.Claims = json.RawMessage(caller.Claims)
	}
	if limit > 0 {
		m.Deadline = seconds(now.Add(limit))
	}
	if b.more != nil {
		m.Checkpoint = b.checkpoint
	}
	body, err := json.Marshal(m)
	if err != nil {
		panic("jobs: meta: " + err.Error())
	}
	return body
}

// limit is how long a run that starts now may take; 0 is for ever.
func (b *job) limit(now time.Time) time.Duration {
	limit := b.Policy.Value().Timeout
	if !b.Expires.IsZero() {
		if left := b.Expires.Sub(now); limit == 0 || left < limit {
			limit = max(left, time.Millisecond)
		}
	}
	return limit
}
