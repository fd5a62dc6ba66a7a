// Package history keeps the publications of channels: dense offsets 1, 2, 3…, an epoch that survives a restart, acknowledgements
// after the commit, and recovery from memory or from the stream. There is one stream for each namespace, in which each channel is a
// subject.
//
// One node at a time publishes to a namespace. On an external engine what is written is checked against the last message of the
// channel, so that offsets stay dense when a second node publishes as well (as while one replaces the other), but publications of
// one node are not delivered on the other.
package history

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/centrifugal/protocol"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/engine"
	"github.com/headrace/headrace/internal/problem"
)

// Options say how much is kept. Size and Age are of the namespace; the rest bounds the memory of this process.
type Options struct {
	Size int           // publications kept of each channel, 1 to 1,000,000
	Age  time.Duration // how long each is kept; at least 1 s

	Ring     int           // publications of one channel in memory; default and at most Size, default at most 512
	Memory   int           // bytes in memory over all channels, evicted least recently used; default 64 MiB. One channel has at most an eighth
	Channels int           // channels with a state in memory; default 65,536
	Idle     time.Duration // a channel leaves the memory when it was not used for so long; default 10 min
	Keys     int           // idempotency keys in memory; default 262,144, beyond that any of them are forgotten early
	Queue    int           // bytes of publications that wait for the stream; above it Publish fails with HR3050; default 64 MiB
}

const (
	maxSize       = 1_000_000
	maxFlying     = 1024     // messages on their way to the stream
	maxFlyingSize = 16 << 20 // bytes of them, with the last one possibly more
)

func (o Options) withDefaults() (Options, error) {
	if o.Size < 1 || o.Size > maxSize {
		return o, problem.New("HR9003", "history of %d publications is not possible", o.Size).At("history.size").
			Hinting("write 1 to %d", maxSize)
	}
	if o.Age < time.Second {
		return o, problem.New("HR9003", "history of %s is not possible", o.Age).At("history.age").Hinting("write at least 1s")
	}
	for _, d := range []struct {
		value    *int
		standard int
	}{{&o.Ring, 512}, {&o.Memory, 64 << 20}, {&o.Channels, 65_536}, {&o.Keys, 262_144}, {&o.Queue, 64 << 20}} {
		if *d.value <= 0 {
			*d.value = d.standard
		}
	}
	if o.Idle <= 0 {
		o.Idle = 10 * time.Minute
	}
	o.Ring = min(o.Ring, o.Size)
	return o, nil
}

// Log is the history of one namespace.
type Log struct {
	engine   *engine.Engine
	conn     *nats.Conn
	js       jetstream.JetStream
	stream   string
	prefix   string // of subjects, with the last dot
	external bool
	deliver  func(channel string, p *protocol.Publication)
	log      *slog.Logger
	options  atomic.Pointer[Options]
	failed   atomic.Pointer[problem.Error] // a failed commit; final
	inbox    string
	random   maphash.Seed

	configuring sync.Mutex

	mu       sync.RWMutex
	channels map[string]*channel
	recent   *list.List          // of *channel, the last used first
	bytes    atomic.Int64        // of all rings
	rests    map[uint64]Position // of channels that left the memory, by hash of the name
	birth    birth
	stopping bool
	pending  sync.WaitGroup // items that are not done

	keys   keys
	flight flight
	queued atomic.Int64 // bytes

	fifo   fifo
	groups chan []*item
	reads  chan struct{} // slots of those who read the stream
	quit   chan struct{}
	tasks  sync.WaitGroup
	stop   func()
}

// Open opens or creates the stream of the namespace. deliver is called for each publication, once, in the order of the offsets of
// its channel, after it was committed and before Publish returns; it must not block and not change the publication. Problems:
// HR9003 (options), HR5001, HR5005, HR5009 (stream).
func Open(ctx context.Context, e *engine.Engine, namespace string, o Options, deliver func(channel string, p *protocol.Publication), log *slog.Logger) (*Log, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	conn, err := e.Connect("live-" + namespace)
	if err != nil {
		return nil, err
	}
	l := &Log{
		engine: e, conn: conn, deliver: deliver, log: log.With("namespace", namespace),
		stream: "HR_LIVE_" + escape(namespace), prefix: "hr.live." + orDefault(escape(namespace)) + ".", external: conn.Opts.InProcessServer == nil,
		inbox: conn.NewInbox() + ".", random: maphash.MakeSeed(),
		channels: map[string]*channel{}, recent: list.New(), rests: map[uint64]Position{},
		groups: make(chan []*item), reads: make(chan struct{}, 8), quit: make(chan struct{}),
	}
	l.options.Store(&o)
	l.keys.byName = map[string]keyUse{}
	l.flight.items = map[uint64]*item{}
	l.fifo.wake = make(chan struct{}, 1)
	l.stop = sync.OnceFunc(l.close)
	conn.SetClosedHandler(func(*nats.Conn) { l.abandon() })
	if err := l.open(ctx, &o); err != nil {
		conn.Close()
		return nil, err
	}
	l.tasks.Go(l.committing)
	l.tasks.Go(l.delivering)
	l.tasks.Go(l.keeping)
	return l, nil
}

// orDefault is the token of the namespace that has no name; escape makes no such token.
func orDefault(token string) string {
	if token == "" {
		return "="
	}
	return token
}

func (l *Log) open(ctx context.Context, o *Options) (err error) {
	if l.js, err = jetstream.New(l.conn); err != nil {
		return fmt.Errorf("history: %w", err)
	}
	if err := l.openStream(ctx, o); err != nil {
		return err
	}
	// What a process that was killed stored without an acknowledgement is seen from now on, so it must be durable.
	if err := l.engine.Commit(ctx, l.stream); err != nil {
		return err
	}
	sub, err := l.conn.Subscribe(l.inbox+"*", l.acknowledged)
	if err != nil {
		return fmt.Errorf("history: %w", err)
	}
	return sub.SetPendingLimits(-1, -1)
}

// openStream brings the stream to the options.
func (l *Log) openStream(ctx context.Context, o *Options) error {
	stream, err := l.js.Stream(ctx, l.stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		l.birth = newBirth()
		_, err = l.engine.Stream(ctx, l.js, l.config(o))
		return err
	}
	if err != nil {
		return problem.New("HR5005", "stream cannot be opened: %w", err).At(l.stream)
	}
	have := stream.CachedInfo().Config
	l.birth = parseBirth(have.Metadata)
	if l.birth.older(min(have.MaxAge, o.Age)) {
		l.birth = newBirth()
	}
	return l.update(ctx, o)
}

func (l *Log) update(ctx context.Context, o *Options) error {
	if _, err := l.js.UpdateStream(ctx, l.config(o)); err != nil {
		return problem.New("HR5005", "stream cannot be changed: %w", err).At(l.stream)
	}
	return nil
}

func (l *Log) config(o *Options) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name: l.stream, Subjects: []string{l.prefix + "*"}, Storage: jetstream.FileStorage, Retention: jetstream.LimitsPolicy,
		MaxMsgsPerSubject: int64(o.Size), MaxAge: o.Age, AllowDirect: true, AllowRollup: true,
		Duplicates: min(time.Second, o.Age), Metadata: l.birth.metadata(),
	}
}

// Configure changes the options of the open log. When less is kept from now on, the rest goes at once; when more is kept, what
// went before stays gone.
func (l *Log) Configure(ctx context.Context, o Options) error {
	o, err := o.withDefaults()
	if err != nil {
		return err
	}
	l.configuring.Lock()
	defer l.configuring.Unlock()
	old := l.options.Load()
	if old.Size != o.Size || old.Age != o.Age {
		if o.Age < old.Age { // the epoch was handed out to channels that may be gone earlier now
			l.mu.Lock()
			l.birth = newBirth()
			l.mu.Unlock()
		}
		if err := l.update(ctx, &o); err != nil {
			return err
		}
	}
	l.options.Store(&o)
	l.trimAll(&o)
	return nil
}

// Stop refuses new publications, ends those that were begun, and closes the connection. When ctx ends first, those that are left
// fail.
func (l *Log) Stop(ctx context.Context) error {
	l.mu.Lock()
	l.stopping = true
	l.mu.Unlock()
	ended := make(chan struct{})
	go func() { l.pending.Wait(); l.stop(); close(ended) }()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		go l.stop()
		return fmt.Errorf("stop the history: %w", ctx.Err())
	}
}

func (l *Log) close() {
	l.conn.Close()
	close(l.quit)
	l.abandon()
	l.tasks.Wait()
}
