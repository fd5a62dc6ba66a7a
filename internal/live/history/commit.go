package history

import (
	"context"
	"errors"
	"sync"

	"github.com/headrace/headrace/internal/problem"
)

// fifo holds what was stored and is not committed, in the order in which it was stored.
type fifo struct {
	mu    sync.Mutex
	items []*item
	wake  chan struct{}
}

func (f *fifo) push(it *item) {
	f.mu.Lock()
	f.items = append(f.items, it)
	f.mu.Unlock()
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *fifo) takeAll() []*item {
	f.mu.Lock()
	defer f.mu.Unlock()
	items := f.items
	f.items = nil
	return items
}

// committing makes what was stored durable, all of it with one commit. Meanwhile the next group gathers, and the one before is
// delivered.
func (l *Log) committing() {
	defer close(l.groups)
	for {
		select {
		case <-l.fifo.wake:
			l.commit(l.fifo.takeAll())
		case <-l.quit:
			l.commit(l.fifo.takeAll())
			return
		}
	}
}

func (l *Log) commit(group []*item) {
	wrote := false
	for _, it := range group {
		wrote = wrote || !it.skipped
	}
	if wrote && l.failed.Load() == nil {
		if err := l.engine.Commit(context.Background(), l.stream); err != nil {
			l.fail(err)
		}
	}
	if failure := l.failed.Load(); failure != nil {
		for _, it := range group {
			l.finish(it, failure)
		}
		return
	}
	if len(group) > 0 {
		l.groups <- group
	}
}

// fail ends the log: what is not committed is never acknowledged nor delivered.
func (l *Log) fail(err error) {
	var failure *problem.Error
	if !errors.As(err, &failure) {
		failure = problem.New("HR5001", "commit of %s: %w", l.stream, err)
	}
	if l.failed.CompareAndSwap(nil, failure) {
		l.log.Error("history: nothing is acknowledged any more", "error", err)
	}
}

// delivering shows and delivers what was committed, then releases who published it.
func (l *Log) delivering() {
	for group := range l.groups {
		for _, it := range group {
			if !it.skipped {
				l.show(it)
			}
			l.finish(it, nil)
		}
	}
}

// show makes the item the top of its channel before it is delivered, so that a subscriber that comes in between sees it in the
// history, or gets it delivered, or both; never neither.
func (l *Log) show(it *item) {
	ch := it.ch
	ch.mu.Lock()
	if it.publication == nil {
		ch.ring = ring{whole: true}
	} else {
		if ch.shown.Epoch != it.position.Epoch || ch.shown.Offset+1 != it.position.Offset {
			ch.ring = ring{} // another node published in between
		}
		ch.ring.push(entry{it.publication, len(it.record.body) + overhead, it.at})
		ch.ring.trim(l.options.Load(), it.at)
	}
	ch.shown = it.position
	bytes := ch.ring.bytes
	ch.mu.Unlock()
	l.charge(ch, bytes)
	if it.publication != nil {
		l.deliver(ch.name, it.publication)
	}
}
