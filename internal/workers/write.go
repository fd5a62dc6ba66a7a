package workers

import "github.com/headrace/headrace/internal/workers/frame"

// keepBuffer is the largest write buffer that is kept for the next write.
const keepBuffer = 1 << 20

// write sends what is queued, everything there is with one write, until the worker is closed.
func (w *worker) write() {
	defer close(w.written)
	var buf []byte
	var taken []outgoing
	for range w.wake {
		w.pool.mu.Lock()
		taken, w.out = append(taken[:0], w.out...), w.out[:0]
		w.writing = len(taken) > 0
		closed := w.closed
		w.pool.mu.Unlock()
		if closed {
			return
		}
		buf = buf[:0]
		for _, o := range taken {
			if o.parcel != nil {
				buf = w.pack(buf, o.parcel)
			} else {
				buf = append(buf, o.frame...)
			}
		}
		_, err := w.conn.Write(buf)
		for _, o := range taken {
			if o.signal != 0 && err == nil {
				w.signal(o.signal)
			}
		}
		clear(taken)
		if cap(buf) > keepBuffer {
			buf = nil
		}
		w.pool.mu.Lock()
		w.writing = false
		w.pool.mu.Unlock()
		if err != nil {
			return // the reader sees the end of the connection
		}
	}
}

// pack appends a parcel as one frame and tells the sinks.
func (w *worker) pack(buf []byte, p *parcel) []byte {
	kind := frame.Task
	if p.batch != nil {
		kind = frame.Batch
	}
	buf = frame.Begin(buf, kind, 0)
	mark := len(buf)
	if p.batch != nil {
		buf = frame.AppendBatchHead(buf, w.index[p.batch.fn.Name], uint32(len(p.runs)))
	}
	for _, r := range p.runs {
		r.started(w.name, w.pid)
		if p.batch != nil {
			buf = frame.AppendItem(buf, r.number, r.task.Meta, r.task.Args)
		} else {
			buf = frame.AppendTask(buf, r.number, w.index[r.fn.Name], r.task.Meta, r.task.Args)
		}
	}
	return frame.End(buf, mark)
}

// stopWriting ends the writer; the pool's lock is not held.
func (w *worker) stopWriting() {
	w.pool.mu.Lock()
	w.closed, w.out = true, nil
	w.nudge()
	w.pool.mu.Unlock()
	_ = w.conn.Close()
	<-w.written
}
