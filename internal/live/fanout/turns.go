package fanout

import "sync"

// turns is the queue of the parts that have something to give, served by a few goroutines.
type turns struct {
	mu    sync.Mutex
	more  sync.Cond
	queue []*part
	ended bool
	done  sync.WaitGroup
}

func newTurns(workers int) *turns {
	t := &turns{}
	t.more.L = &t.mu
	for range workers {
		t.done.Go(t.work)
	}
	return t
}

func (t *turns) add(parts ...*part) {
	if len(parts) == 0 {
		return
	}
	t.mu.Lock()
	t.queue = append(t.queue, parts...)
	t.mu.Unlock()
	if len(parts) == 1 {
		t.more.Signal()
	} else {
		t.more.Broadcast()
	}
}

func (t *turns) work() {
	var b Batch
	for {
		t.mu.Lock()
		for len(t.queue) == 0 {
			if t.ended {
				t.mu.Unlock()
				return
			}
			t.more.Wait()
		}
		p := t.queue[0]
		t.queue[0] = nil
		t.queue = t.queue[1:]
		t.mu.Unlock()
		if p.turn(&b) {
			t.add(p)
		}
		b.reset(nil)
	}
}

func (t *turns) stop() {
	t.mu.Lock()
	t.ended = true
	t.mu.Unlock()
	t.more.Broadcast()
	t.done.Wait()
}
