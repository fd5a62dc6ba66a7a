package jobs

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/fault"
	"github.com/headrace/headrace/internal/workers"
)

// run is one start of a job. It is what the pool reports to; a run that is no longer its job's current one is stale, and what it says
// is dropped: that is the fence.
type run struct {
	jobs       *Jobs
	job        *job
	number     uint32
	handle     *workers.Run // guarded by Jobs.mu, nil until the pool took it
	cancelling string       // reason, once cancelled
	progressed time.Time
	traced     string // W3C traceparent that the function and its children continue
	span       trace.Span
	pending    []byte // progress that came too soon after the one before
}

// progressEvery is the least time between two recorded progress events of a run.
const progressEvery = 100 * time.Millisecond

// Started implements workers.Sink.
func (r *run) Started(worker string, _ int) {
	r.jobs.mu.Lock()
	r.job.worker = worker
	r.jobs.mu.Unlock()
}

// Progress implements workers.Sink.
func (r *run) Progress(body []byte) {
	j := r.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.job.run != r {
		return
	}
	now := time.Now()
	if wait := progressEvery - now.Sub(r.progressed); wait > 0 {
		if r.pending == nil {
			time.AfterFunc(wait, r.flushProgress)
		}
		r.pending = bytes.Clone(body)
		return
	}
	r.recordProgress(now, bytes.Clone(body))
}

func (r *run) flushProgress() {
	r.jobs.mu.Lock()
	defer r.jobs.mu.Unlock()
	if r.job.run == r && r.pending != nil {
		r.recordProgress(time.Now(), r.pending)
	}
}

func (r *run) recordProgress(now time.Time, body []byte) {
	r.progressed, r.pending = now, nil
	r.job.extra().progress = body
	r.record(recProgress, "progress", now, body)
}

// record writes an event of this run.
func (r *run) record(k kind, event string, now time.Time, body []byte) {
	t := ticket{kind: k, job: r.job, patient: len(r.job.extra().watchers) == 0}
	if event != "" {
		t.event = r.job.note(now, event, body)
	}
	if err := r.jobs.journal.append([]ticket{t}, record{kind: k, id: r.job.ID, run: r.number, body: body, at: now}); err != nil {
		r.jobs.log.Warn("job event lost", "job", r.job.ID, "kind", event, "error", err)
	}
}

// Chunk implements workers.Sink.
func (r *run) Chunk(body []byte) {
	r.event(recChunk, "chunk", body, func(m *more) bool { return true })
}

// Log implements workers.Sink. What exceeds the limits of a job is dropped, after one line that says so.
func (r *run) Log(body []byte) {
	limits := &r.jobs.config.Jobs
	r.event(recLog, "log", body, func(m *more) bool {
		m.lines++
		m.logged += len(body)
		return m.lines <= limits.LogLines && m.logged <= int(limits.LogBytes)
	})
}

func (r *run) event(k kind, name string, body []byte, admit func(*more) bool) {
	j := r.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.job.run != r {
		return
	}
	m := r.job.extra()
	if !admit(m) {
		if m.truncated {
			return
		}
		m.truncated = true
		body = []byte(`{"level":"warning","text":"headrace: this job has reached its limit of log lines; the rest is dropped"}`)
	}
	r.record(k, name, time.Now(), bytes.Clone(body))
}

// Checkpoint implements workers.Sink.
func (r *run) Checkpoint(body []byte) {
	j := r.jobs
	j.mu.Lock()
	defer j.mu.Unlock()
	if r.job.run != r {
		return
	}
	r.job.extra().checkpoint = bytes.Clone(body)
	r.record(recCheckpoint, "", time.Now(), r.job.checkpoint)
}

// Done implements workers.Sink.
func (r *run) Done(o workers.Outcome) {
	fault.Point("run.done")
	j := r.jobs
	now := time.Now()
	if o.Ending == workers.Succeeded {
		if len(o.Result) > int(j.config.Jobs.Inline) {
			go r.store(bytes.Clone(o.Result), o)
			return
		}
		o.Result = bytes.Clone(o.Result)
	}
	j.mu.Lock()
	r.finish(o, now)
	j.mu.Unlock()
}

// largeResult is what is recorded instead of a result that is too large for the journal. The blobs that the result refers to are
// repeated, so that they are kept as long as it.
type largeResult struct {
	Result blob.Ref   `json:"result"`
	Holds  []blob.Ref `json:"holds,omitempty"`
}

// store keeps a large result as a blob and records a reference to it.
func (r *run) store(result []byte, o workers.Outcome) {
	ref, err := r.jobs.engine.Blobs().Put(context.Background(), bytes.NewReader(result), blob.Meta{Type: "application/json"}, int64(len(result)))
	if err == nil {
		large := largeResult{Result: ref}
		for _, d := range blobsIn(result) {
			large.Holds = append(large.Holds, blob.Ref{Digest: d})
		}
		o.Result, err = json.Marshal(large)
	}
	if err != nil {
		o = workers.Outcome{Ending: workers.Failed, Run: o.Run, Worker: o.Worker,
			Error: &workers.TaskError{Kind: "error", Type: "headrace", Message: "result could not be stored: " + err.Error()}}
	}
	r.jobs.mu.Lock()
	r.job.extra().large = o.Ending == workers.Succeeded
	r.finish(o, time.Now())
	r.jobs.mu.Unlock()
}

// finish decides what follows from the end of a run.
func (r *run) finish(o workers.Outcome, now time.Time) {
	j, b := r.jobs, r.job
	if b.run != r || b.ending {
		return
	}
	if r.pending != nil {
		r.recordProgress(now, r.pending)
	}
	r.endTrace(&o, now)
	if o.Worker != "" {
		b.worker = o.Worker
	}
	if o.Ending == workers.Interrupted && r.cancelling != "" {
		o.Ending = workers.Cancelled
	}
	if o.Ending == workers.Interrupted {
		j.interrupt(r, now)
		return
	}
	if o.Ending == workers.Succeeded {
		j.end(b, Succeeded, o.Result, nil, now)
		return
	}
	a := &Attempt{Number: b.number(), Run: r.number, Worker: b.worker, Started: b.started, Ended: now, Ending: endingNames[o.Ending], Error: o.Error, Death: o.Death}
	switch o.Ending {
	case workers.Cancelled:
		j.end(b, Cancelled, nil, a, now)
	case workers.Crashed:
		b.crashes++
		if int(b.crashes) >= j.config.Jobs.CrashLimit {
			j.end(b, Dead, nil, a, now)
			return
		}
		// The first crash may be the machine's fault: run again at once. From then on the job is suspect.
		j.again(b, a, now, time.Duration(b.crashes-1)*time.Second)
	default:
		if o.Error != nil {
			o.Error.Status = 0 // nobody waits for an answer
		}
		if !b.Expires.IsZero() && !now.Before(b.Expires) {
			j.end(b, Expired, nil, a, now)
			return
		}
		b.failures++
		hopeless := o.Error != nil && (o.Error.Kind == "fail" || o.Error.Kind == "arguments" || o.Error.Kind == "unencodable")
		if hopeless || int(b.failures) > b.Policy.Value().Retries {
			j.end(b, Dead, nil, a, now)
			return
		}
		delay := b.delay(j.random.Float64())
		if o.Error != nil && o.Error.Kind == "retry" && o.Error.After > 0 {
			delay = secs(o.Error.After)
		}
		j.again(b, a, now, delay)
	}
}
