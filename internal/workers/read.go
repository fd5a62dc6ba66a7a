package workers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/frame"
	"github.com/headrace/headrace/internal/workers/process"
)

// finished is a task that has ended, to be told to its sink once the lock is released.
type finished struct {
	run     *Run
	outcome Outcome
}

// listen reads frames until the connection or the process ends, and then ends the worker.
func (w *worker) listen() {
	go func() { // a grandchild may hold the socket open after the process is gone
		<-w.proc.Exited()
		_ = w.conn.SetReadDeadline(time.Now().Add(leftover))
	}()
	var cause error
	var batch []finished
	for {
		f, err := w.read.Next()
		if err == nil {
			batch, err = w.take(f, batch[:0])
		}
		if err != nil {
			cause = err
			break
		}
	}
	w.end(cause)
}

// leftover is how long what a dead process has sent is read.
const leftover = 100 * time.Millisecond

func (w *worker) take(f frame.Frame, batch []finished) ([]finished, error) {
	if err := frame.Check(f.Kind, f.Body); err != nil {
		return batch, err
	}
	switch f.Kind {
	case frame.Result:
		return w.results(f.Body, batch)
	case frame.Error:
		w.failed(f)
	case frame.Credit:
		n, err := frame.ParseCredit(f.Body)
		if err != nil {
			return batch, err
		}
		w.pool.credited(w, int(n))
	case frame.Progress, frame.Chunk, frame.Log, frame.Checkpoint, frame.Request:
		w.event(f)
	case frame.Exited:
		d, ok := w.proc.(*distant)
		if !ok {
			return batch, fmt.Errorf("%w: a worker does not send exited", frame.ErrMalformed)
		}
		d.tell(f.Body)
	case frame.Pong:
	default:
		return batch, fmt.Errorf("%w: a worker does not send %s", frame.ErrMalformed, f.Kind)
	}
	return batch, nil
}

func (w *worker) results(body []byte, batch []finished) ([]finished, error) {
	w.proc.Drain()
	p, now := w.pool, time.Now()
	p.mu.Lock()
	walk := frame.WalkResults(body)
	for walk.Next() {
		r := w.runs[walk.Task]
		if r == nil { // given up earlier
			continue
		}
		run := time.Duration(walk.Micros) * time.Microsecond
		r.fn.learn(run)
		w.forget(r)
		batch = append(batch, finished{r, Outcome{Ending: Succeeded, Result: walk.JSON, Run: run, Worker: w.name}})
		if r.parcel.batch != nil && r.parcel.left == 0 {
			batch = p.settle(r.parcel.batch, batch)
		}
	}
	w.advance(now)
	p.mu.Unlock()
	p.freed(now)
	for i := range batch {
		batch[i].run.done(batch[i].outcome)
		batch[i] = finished{}
	}
	p.tellFree()
	return batch, walk.Err()
}

func (w *worker) failed(f frame.Frame) {
	var e TaskError
	if err := json.Unmarshal(f.Body, &e); err != nil {
		e = TaskError{Kind: "error", Message: string(f.Body)}
	}
	w.proc.Drain()
	p, now := w.pool, time.Now()
	var batch []finished
	p.mu.Lock()
	if r := w.runs[f.Stream]; r != nil {
		run := now.Sub(r.since)
		if !r.running() {
			run = 0
		}
		outcome := Outcome{Ending: Failed, Error: &e, Run: run, Worker: w.name}
		if r.reason != "" {
			outcome.Ending = endingOf(r.reason)
		} else if e.Kind == "interrupted" && w.leaving() {
			outcome.Ending = Interrupted
		} else if e.Kind == "cancelled" {
			outcome.Ending = Cancelled
		}
		w.forget(r)
		if g := r.parcel.batch; g != nil {
			g.hold(finished{r, outcome}, f.Body)
			if r.parcel.left == 0 {
				batch = p.settle(g, batch)
			}
		} else {
			batch = append(batch, finished{r, outcome})
		}
	}
	w.advance(now)
	p.mu.Unlock()
	p.freed(now)
	for _, f := range batch {
		f.run.done(f.outcome)
	}
	p.tellFree()
}

// event hands a frame about a running task to its sink.
func (w *worker) event(f frame.Frame) {
	w.pool.mu.Lock()
	r := w.runs[f.Stream]
	w.pool.mu.Unlock()
	if f.Kind == frame.Log {
		w.logged(f.Body, r == nil)
	}
	if r == nil {
		if f.Kind == frame.Request {
			w.reply(f.Stream, orphaned(f.Body))
		}
		return
	}
	r.tell(func(s Sink) {
		switch f.Kind {
		case frame.Progress:
			s.Progress(f.Body)
		case frame.Chunk:
			s.Chunk(f.Body)
		case frame.Log:
			s.Log(f.Body)
		case frame.Checkpoint:
			s.Checkpoint(f.Body)
		case frame.Request:
			stream := f.Stream
			s.Request(f.Body, func(body []byte) { w.reply(stream, body) })
		}
	})
}

func (w *worker) reply(stream uint64, body []byte) {
	w.pool.mu.Lock()
	defer w.pool.mu.Unlock()
	w.send(frame.Append(nil, frame.Reply, stream, body), 0)
}

// orphaned is the reply to a request that no running task stands behind, as of a thread that outlives its task.
func orphaned(request []byte) []byte {
	type refusal struct {
		Code    string `json:"code"`
		Message string `json:"message"`
		Hint    string `json:"hint"`
	}
	var asked struct {
		ID uint32 `json:"id"`
		Op string `json:"op"`
	}
	_ = json.Unmarshal(request, &asked) // a request without an id gets a reply without one
	p := problem.New("HR6011", "%.40q was asked for, but its task does not run", asked.Op)
	body, err := json.Marshal(struct {
		ID    uint32  `json:"id"`
		Error refusal `json:"error"`
	}{asked.ID, refusal{p.Code, p.What, p.Hint}})
	if err != nil { // numbers and strings always encode
		panic("workers: reply: " + err.Error())
	}
	return body
}

// logged keeps a log frame among the last lines, and hands it to the host if it belongs to no task.
func (w *worker) logged(body []byte, homeless bool) {
	var log struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	}
	if json.Unmarshal(body, &log) != nil {
		return
	}
	text := []byte(log.Text)
	w.last.add(text[:min(len(text), process.MaxLine)])
	if homeless && w.remote && (log.Level == "stdout" || log.Level == "stderr") { // its agent cannot tell whose it is
		w.attribute(log.Level, text)
	} else if homeless {
		w.pool.host.Line(w.name, log.Level, text)
	}
}

// line takes what the process printed.
func (w *worker) line(stream string, line []byte) {
	w.last.add(line)
	w.attribute(stream, line)
}

// attribute hands a line to the task that runs, or to the host.
func (w *worker) attribute(stream string, line []byte) {
	w.pool.mu.Lock()
	r := w.head()
	if r != nil {
		r.fn.printed = true
	}
	w.pool.mu.Unlock()
	if r == nil {
		w.pool.host.Line(w.name, stream, line)
		return
	}
	r.tell(func(s Sink) { s.Log(logBody(stream, line)) })
}

func logBody(level string, text []byte) []byte {
	body, err := json.Marshal(struct {
		Level string `json:"level"`
		Text  string `json:"text"`
	}{level, string(bytes.ToValidUTF8(text, []byte("\uFFFD")))})
	if err != nil { // two strings always encode
		return nil
	}
	return body
}

// end is the worker's death: its tasks end at once, each as it deserves.
func (w *worker) end(cause error) {
	protocol := errors.Is(cause, frame.ErrMalformed)
	if protocol {
		w.pool.mu.Lock()
		w.kill("protocol")
		w.pool.mu.Unlock()
	}
	if d, ok := w.proc.(*distant); ok {
		d.hangUp()
	}
	timer := time.AfterFunc(2*leftover, func() { _ = w.proc.Signal(syscall.SIGKILL) }) // closed its socket and lives on
	<-w.proc.Exited()
	timer.Stop()
	w.stopWriting()
	w.proc.Close()
	w.pool.buried(w)
}
