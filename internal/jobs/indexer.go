package jobs

import (
	"context"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/headrace/headrace/internal/fault"
	"github.com/headrace/headrace/internal/problem"
)

const (
	// indexEvery is how far the index may be behind the commits with jobs that have ended.
	indexEvery = 100 * time.Millisecond
	// settleIn is how long a job that has not ended may be unknown to the index: most have ended by then and are written once.
	settleIn = 2 * time.Second
)

// indexing writes what changed to the index, each job once per round however often it changed. While nothing changes it sleeps.
func (j *Jobs) indexing(ctx context.Context) {
	round := time.NewTimer(indexEvery)
	defer round.Stop()
	var rows []row // its memory is used again by each round
	for {
		select {
		case <-ctx.Done():
			j.flush(rows)
			return
		case <-j.stirred:
			round.Reset(indexEvery)
		case <-round.C:
			if rows = j.flush(rows); j.unsettled() {
				round.Reset(indexEvery)
			}
		case done := <-j.flushes:
			rows = j.flush(rows)
			close(done)
		}
	}
}

// flush writes the changed jobs in batches small enough that a reader does not wait long. It takes and returns memory for their rows.
func (j *Jobs) flush(rows []row) []row {
	const batch = 1000
	changed, upTo := j.changed(time.Now())
	defer j.written()
	defer func() { clear(rows[:cap(rows)]) }() // it must not hold what the jobs held
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
		if err := j.index.write(rows, seq); err != nil {
			j.log.Error("job index", "error", err)
			j.Metrics.indexErrors.Inc()
			j.retouch(part, changed)
			return rows
		}
		fault.Point("index.written")
		j.mu.Lock()
		for _, b := range part {
			if b.endSeq != 0 && !b.dirty {
				delete(j.recent, b.ID)
			}
		}
		j.mu.Unlock()
	}
	return rows
}

// unsettled tells whether jobs wait to be written that the last round has left.
func (j *Jobs) unsettled() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.young) > 0
}

// retouch marks jobs again that could not be written: until they are, the index is not complete up to any later sequence.
func (j *Jobs) retouch(lists ...[]*job) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, list := range lists {
		for _, b := range list {
			b.dirty = false
			j.touch(b)
		}
	}
}

// changed takes the jobs that are to be written now. The index is complete up to the sequence returned, as far as ended jobs go; the
// others are in the journal and in memory.
func (j *Jobs) changed(now time.Time) ([]*job, uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	write := make([]*job, 0, len(j.dirty))
	kept := j.young[:0]
	for _, list := range [][]*job{j.young, j.dirty} {
		for _, b := range list {
			if b.endSeq != 0 || now.Sub(b.touched) > settleIn {
				write = append(write, b)
			} else {
				kept = append(kept, b)
			}
		}
	}
	clear(j.young[min(len(kept), len(j.young)):])
	j.young, j.dirty, j.writing = kept, j.dirty[:0], write
	return write, j.committedSeq
}

// written ends a round: the jobs that it took are in the index, or marked again.
func (j *Jobs) written() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.writing = nil
}

// flushed returns when the index knows of the job, if that has ended.
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
