package engine

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/headrace/headrace/internal/problem"
)

// sweepEvery is how often files that the server rewrote or made by itself (compacted blocks, metadata of streams and
// consumers) are looked for and synced.
const sweepEvery = time.Second

// clock is the commit clock: one goroutine takes all who wait (an epoch), syncs the block files of the streams they
// wrote to, and releases them together. While it syncs, the next epoch gathers, so the disk sets the size of the group.
//
// The server has called write(2) for a message before it sends the PubAck (it flushes in place unless a stream has
// persist mode async, which Engine.Stream refuses). So what a caller saw acknowledged is in the page cache, and one
// fdatasync makes it durable.
type clock struct {
	root     string // folder of the streams: <data>/jetstream/$G/streams
	sync     syncFunc
	log      *slog.Logger
	counters *counters

	mu      sync.Mutex
	next    *epoch
	stopped bool

	wake   chan struct{}
	quit   chan struct{}
	done   chan struct{}
	failed atomic.Pointer[problem.Error]
	blocks map[string]*blocks // by stream; the clock's goroutine alone
}

// epoch is a group of waiters. streams and errs are written before done is closed.
type epoch struct {
	streams map[string]error
	done    chan struct{}
}

func newEpoch() *epoch { return &epoch{streams: map[string]error{}, done: make(chan struct{})} }

func newClock(root string, sync syncFunc, log *slog.Logger, counters *counters) *clock {
	return &clock{
		root: root, sync: sync, log: log, counters: counters, next: newEpoch(), blocks: map[string]*blocks{},
		wake: make(chan struct{}, 1), quit: make(chan struct{}), done: make(chan struct{}),
	}
}

// commit returns when all that was written to the stream before the call is durable. When ctx ends first, the epoch
// goes on without this waiter.
func (c *clock) commit(ctx context.Context, stream string) error {
	if failure := c.failed.Load(); failure != nil {
		return failure
	}
	began := time.Now()
	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		return problem.New("HR5001", "engine has stopped").At(stream)
	}
	epoch := c.next
	epoch.streams[stream] = nil
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default:
	}
	select {
	case <-epoch.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := epoch.streams[stream]
	c.counters.commit(time.Since(began), err)
	return err
}

// run is the clock's goroutine. It ends after stop, with a last epoch for those who came before.
func (c *clock) run() {
	defer close(c.done)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	for {
		select {
		case <-c.wake:
			c.turn()
		case <-sweep.C:
			c.sweep()
		case <-c.quit:
			c.turn()
			return
		}
	}
}

// turn releases one epoch.
func (c *clock) turn() {
	c.mu.Lock()
	epoch := c.next
	if len(epoch.streams) == 0 {
		c.mu.Unlock()
		return
	}
	c.next = newEpoch()
	c.mu.Unlock()
	defer close(epoch.done)
	c.each(epoch.streams, (*blocks).commit)
	c.counters.epochs.Add(1)
}

// sweep syncs what the server rewrote by itself since the last one.
func (c *clock) sweep() {
	streams := make(map[string]error, len(c.blocks))
	for stream := range c.blocks {
		streams[stream] = nil
	}
	c.each(streams, (*blocks).sweep)
	for stream, err := range streams {
		if errors.Is(err, os.ErrNotExist) { // deleted; a stream of the same name is found again by its first commit
			c.blocks[stream].close()
			delete(c.blocks, stream)
		}
	}
}

// each does the work on the files of all streams and leaves its error in the map, as HR5001. One stream is done in
// this goroutine; several at once, so that the file system can join them into one transaction.
func (c *clock) each(streams map[string]error, work func(*blocks) error) {
	if c.failed.Load() == nil {
		results := make(chan result, len(streams))
		for stream := range streams {
			files := c.blocks[stream]
			if files == nil {
				files = openBlocks(c.root, stream, c.sync)
				c.blocks[stream] = files
			}
			do := func() { results <- result{stream, work(files)} }
			if len(streams) == 1 {
				do()
			} else {
				go do()
			}
		}
		for range len(streams) {
			done := <-results
			if done.err != nil {
				streams[done.stream] = c.refuse(done.stream, done.err)
			}
		}
	}
	if failure := c.failed.Load(); failure != nil {
		for stream := range streams {
			streams[stream] = failure
		}
	}
}

type result struct {
	stream string
	err    error
}

// refuse makes the error of a stream's waiters. A failed sync is final: the kernel has dropped the dirty pages and
// marked them clean, so a second call would succeed without the data being on disk.
func (c *clock) refuse(stream string, err error) error {
	var lost *syncError
	if errors.As(err, &lost) {
		failure := problem.New("HR5001", "sync of stream %s failed: %w", stream, err)
		if c.failed.CompareAndSwap(nil, failure) {
			c.log.Error("nothing is acknowledged any more", "stream", stream, "error", err)
		}
		return failure
	}
	return problem.New("HR5001", "files of stream %s: %w", stream, err)
}

// stop releases who still waits and ends the goroutine.
func (c *clock) stop() {
	c.mu.Lock()
	first := !c.stopped
	c.stopped = true
	c.mu.Unlock()
	if first {
		close(c.quit)
	}
	<-c.done
}

// settle syncs and closes everything, once the server has written its last; call it after stop.
func (c *clock) settle() error {
	c.sweep()
	for _, files := range c.blocks {
		files.close()
	}
	if failure := c.failed.Load(); failure != nil {
		return failure
	}
	return nil
}
