package jobs

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/headrace/headrace/internal/problem"
)

// indexEvery is how far the index may be behind the commits.
const indexEvery = 100 * time.Millisecond

// indexing writes what changed to the index, each job once per round however often it changed.
func (j *Jobs) indexing(ctx context.Context) {
	tick := time.NewTicker(indexEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			j.flush()
			return
		case <-tick.C:
			j.flush()
		case done := <-j.flushes:
			j.flush()
			close(done)
		}
	}
}

// flush writes the changed jobs in batches small enough that a reader does not wait long.
func (j *Jobs) flush() {
	const batch = 500
	j.mu.Lock()
	changed := j.dirty
	j.dirty = nil
	upTo := j.committedSeq
	j.mu.Unlock()
	rows := make([]row, 0, min(batch, len(changed)))
	for len(changed) > 0 {
		part := changed[:min(batch, len(changed))]
		changed = changed[len(part):]
		rows = rows[:0]
		j.mu.Lock()
		for _, b := range part {
			b.dirty = false
			rows = append(rows, rowOf(b))
		}
		j.mu.Unlock()
		seq := uint64(0)
		if len(changed) == 0 {
			seq = upTo
		}
		if err := j.index.write(context.Background(), rows, seq); err != nil {
			j.log.Error("job index", "error", err)
			j.Metrics.indexErrors.Inc()
			return
		}
		j.mu.Lock()
		for _, b := range part {
			if b.endSeq != 0 && !b.dirty {
				delete(j.recent, b.ID)
			}
		}
		j.mu.Unlock()
	}
}

// flushed returns when the index knows of everything that was committed before the call.
func (j *Jobs) flushed(ctx context.Context, id ID) error {
	j.mu.Lock()
	late := j.recent[id] != nil
	j.mu.Unlock()
	if !late {
		return nil
	}
	done := make(chan struct{})
	select {
	case j.flushes <- done:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ParseID reads a job id; letter case does not matter. The problem is HR2007.
func ParseID(text string) (ID, error) {
	id, err := ulid.ParseStrict(text)
	if err != nil {
		return id, problem.New("HR2007", "%q is not a job id", text).At(text)
	}
	return id, nil
}
