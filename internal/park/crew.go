package park

import (
	"runtime"
	"sync"
)

// idlers is how many goroutines wait for tasks; more are made when tasks block, and go when they are done.
var idlers = 4 * runtime.GOMAXPROCS(0)

type action uint8

const (
	doRead action = iota
	doFlush
	doTick
	doEnd
)

type task struct {
	c  *Conn
	do action
}

// crew runs tasks on pooled goroutines. Whenever tasks wait, one goroutine is on its way to take them that holds no task: the
// scout. So a task that blocks delays nobody, and a burst of tasks that do not block is done by as few goroutines as there are cores.
type crew struct {
	mu      sync.Mutex
	wake    sync.Cond
	tasks   []task
	head    int
	idle    int
	scout   bool
	stopped bool
	buffers sync.Pool
}

func (w *crew) init(buffer int) {
	w.wake.L = &w.mu
	w.buffers.New = func() any { b := make([]byte, buffer); return &b }
}

func (w *crew) add(tasks ...task) {
	w.mu.Lock()
	w.put(tasks)
	w.summon()
	w.mu.Unlock()
}

func (w *crew) put(tasks []task) {
	if len(w.tasks)+len(tasks) > cap(w.tasks) && w.head > len(w.tasks)/2 { // a queue that is never empty must not grow by what was taken
		n := copy(w.tasks, w.tasks[w.head:])
		clear(w.tasks[n:])
		w.tasks, w.head = w.tasks[:n], 0
	}
	w.tasks = append(w.tasks, tasks...)
}

func (w *crew) take() task {
	t := w.tasks[w.head]
	w.tasks[w.head] = task{}
	if w.head++; w.head == len(w.tasks) {
		w.head = 0
		if w.tasks = w.tasks[:0]; cap(w.tasks) > 4096 {
			w.tasks = nil
		}
	}
	return t
}

// summon sends a scout if tasks wait and none is on its way.
func (w *crew) summon() {
	if w.scout || w.head == len(w.tasks) {
		return
	}
	w.scout = true
	if w.idle > 0 {
		w.idle--
		w.wake.Signal()
	} else {
		go w.work()
	}
}

func (w *crew) work() {
	var buffer *[]byte
	w.mu.Lock()
	w.scout = false
	for {
		for w.head == len(w.tasks) {
			if buffer != nil {
				w.buffers.Put(buffer)
				buffer = nil
			}
			if w.stopped || w.idle >= idlers {
				w.mu.Unlock()
				return
			}
			w.idle++
			w.wake.Wait()
			w.scout = false
		}
		t := w.take()
		w.summon()
		w.mu.Unlock()
		if buffer == nil && (t.do == doRead || t.do == doTick) {
			buffer = w.buffers.Get().(*[]byte)
		}
		switch t.do {
		case doRead:
			t.c.read(*buffer)
		case doTick:
			t.c.tick(*buffer)
		case doFlush:
			t.c.flush()
		case doEnd:
			t.c.mu.Lock()
			t.c.end()
		}
		w.mu.Lock()
	}
}

// stop lets idle goroutines go. Tasks of handlers that still block are done as they come.
func (w *crew) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.idle = 0
	w.wake.Broadcast()
}
