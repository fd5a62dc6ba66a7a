package jobs

import (
	"time"

	"golang.org/x/time/rate"

	"github.com/headrace/headrace/internal/config"
)

// queue orders the jobs of one name and holds its limits. Guarded by Jobs.mu.
type queue struct {
	name    string
	config  *config.Queue
	lines   map[string]*line // by pool; "" holds jobs whose function no pool has
	keys    map[string]*keyed
	running int
	pending int // jobs that have not ended
	counts  [Expired + 1]int64
	paused  bool
	rate    *rate.Limiter // nil: no limit
}

func newQueue(name string, config *config.Queue) *queue {
	q := &queue{name: name, config: config, lines: map[string]*line{}, keys: map[string]*keyed{}}
	if config.Rate.N > 0 {
		q.rate = rate.NewLimiter(rate.Every(config.Rate.Per/time.Duration(config.Rate.N)), config.Rate.N)
	}
	return q
}

// keyed is the state of one concurrency key.
type keyed struct {
	running int
	parked  []*turn // lines of this key that wait until it has room
}

// line holds the ready jobs of a queue for one pool.
type line struct {
	queue *queue
	lanes [priorities]lane
	now   float64 // virtual time of the weighted choice between lanes
	ready int
}

// lane holds the ready jobs of one priority. Keys take turns; jobs without a key share one turn.
type lane struct {
	line  *line
	turns map[string]*turn
	ring  []*turn // turns that have a job and are not parked
	pass  float64
}

// turn is the line of one key.
type turn struct {
	lane   *lane
	key    string
	jobs   []*job // the head is at index first; entries whose job left the line are skipped
	first  int
	inRing bool
	parked bool // in the list of its key
}

// oldest is since when the job that has stood in line for the longest time does so; the zero time if none does.
func (q *queue) oldest() (since time.Time) {
	for _, l := range q.lines {
		for p := range l.lanes {
			for _, t := range l.lanes[p].turns {
				if b := t.head(); b != nil && (since.IsZero() || b.readyAt.Before(since)) {
					since = b.readyAt
				}
			}
		}
	}
	return since
}

func (q *queue) line(pool string) *line {
	l := q.lines[pool]
	if l == nil {
		l = &line{queue: q}
		for p := range l.lanes {
			l.lanes[p] = lane{line: l, turns: map[string]*turn{}}
		}
		q.lines[pool] = l
	}
	return l
}

// push puts a ready job in line; front is for a job that was interrupted. A job that holds its key goes to the front as well, or the
// others of its key would wait for it and it for them.
func (l *line) push(b *job, front bool) {
	front = front || b.more != nil && b.holdsKey
	a := &l.lanes[b.Priority]
	t := a.turns[b.Key]
	if t == nil {
		t = &turn{lane: a, key: b.Key}
		a.turns[b.Key] = t
	}
	switch {
	case !front:
		t.jobs = append(t.jobs, b)
	case t.first > 0:
		t.first--
		t.jobs[t.first] = b
	default:
		t.jobs = append([]*job{b}, t.jobs...)
	}
	b.turn = t
	l.ready++
	t.enter()
}

// enter puts the turn in the ring, unless its key is at its limit.
func (t *turn) enter() {
	if t.inRing || t.head() == nil {
		return
	}
	if k := t.full(); k != nil {
		k.park(t)
		return
	}
	t.inRing = true
	if len(t.lane.ring) == 0 {
		t.lane.pass = max(t.lane.pass, t.lane.line.now)
	}
	t.lane.ring = append(t.lane.ring, t)
}

// head is the first job that is still in line.
func (t *turn) head() *job {
	for t.first < len(t.jobs) {
		if b := t.jobs[t.first]; b.turn == t {
			return b
		}
		t.jobs[t.first] = nil
		t.first++
	}
	t.jobs, t.first = t.jobs[:0], 0
	return nil
}

// full returns the key's state if its head may not run now. A job that holds the key itself may.
func (t *turn) full() *keyed {
	b := t.head()
	if t.key == "" || b == nil || b.more != nil && b.holdsKey {
		return nil
	}
	k := t.lane.line.queue.keys[t.key]
	if k == nil {
		return nil
	}
	if limit := b.Policy.Value().KeyLimit; limit > 0 && k.running >= limit {
		return k
	}
	return nil
}

// next returns the job whose turn it is, or nil; it stays in line.
func (l *line) next() *job {
	for {
		best := -1
		for p := range l.lanes {
			if len(l.lanes[p].ring) > 0 && (best < 0 || l.lanes[p].pass <= l.lanes[best].pass) {
				best = p
			}
		}
		if best < 0 {
			return nil
		}
		a := &l.lanes[best]
		t := a.ring[0]
		b := t.head()
		full := t.full()
		if b != nil && full == nil {
			return b
		}
		a.ring = a.ring[1:]
		t.inRing = false
		if full != nil {
			full.park(t)
		} else {
			delete(a.turns, t.key)
		}
	}
}

// pop takes the job that next returned.
func (l *line) pop(b *job) {
	t := b.turn
	a := t.lane
	a.ring = a.ring[1:]
	t.inRing = false
	a.pass += 1 / weights[b.Priority]
	l.now = a.pass
	l.leave(b)
	l.queue.hold(b)
	if t.head() != nil {
		t.enter()
	} else {
		delete(a.turns, t.key)
	}
}

// refund makes up for a pop after which the job is in line again without having run. Otherwise the less a priority is served, the more it
// would lose by a pool that has no room after all.
func (b *job) refund() {
	if b.turn != nil {
		b.turn.lane.pass -= 1 / weights[b.Priority]
	}
}

// leave takes a job out of line, wherever it stands. Its entry is skipped later.
func (l *line) leave(b *job) {
	b.turn = nil
	l.ready--
}

// hold counts the job against its key.
func (q *queue) hold(b *job) {
	if b.Key == "" || b.Policy.Value().KeyLimit == 0 || b.extra().holdsKey {
		return
	}
	k := q.keys[b.Key]
	if k == nil {
		k = &keyed{}
		q.keys[b.Key] = k
	}
	k.running++
	b.holdsKey = true
}

// free gives the key back and lets the next in line in.
func (q *queue) free(b *job) {
	if b.more == nil || !b.holdsKey {
		return
	}
	b.holdsKey = false
	k := q.keys[b.Key]
	k.running--
	parked := k.parked
	k.parked = nil
	if k.running == 0 {
		delete(q.keys, b.Key)
	}
	for _, t := range parked {
		t.parked = false
		t.enter()
	}
}

// park remembers a turn until the key has room.
func (k *keyed) park(t *turn) {
	if !t.parked {
		t.parked = true
		k.parked = append(k.parked, t)
	}
}

// open tells whether another job of the queue may start now, and if it is only the rate that forbids it, when it may.
func (q *queue) open(now time.Time) (bool, time.Duration) {
	if q.paused || q.config.Concurrency > 0 && q.running >= q.config.Concurrency {
		return false, 0
	}
	if q.rate == nil {
		return true, 0
	}
	if q.rate.TokensAt(now) >= 1 {
		return true, 0
	}
	missing := 1 - q.rate.TokensAt(now)
	return false, time.Duration(missing/float64(q.rate.Limit())*float64(time.Second)) + time.Millisecond
}
