package jobs

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"runtime"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/fault"
)

// retainEvery is how often ended jobs are removed and the journal is trimmed.
const retainEvery = 10 * time.Second

// carryHistory is the largest history, in bytes, of a job that is written again; one with more holds back the journal until it ends.
const carryHistory = 256 << 10

// carryKeys is how many idempotency keys are written at once.
const carryKeys = 1000

// carryLag is how many journal messages a live job may hold back before it is written again at the end.
const carryLag = 1000

func (j *Jobs) retaining(ctx context.Context) {
	tick := time.NewTicker(retainEvery)
	defer tick.Stop()
	swept := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			err := j.Retain(ctx, now)
			if err == nil && now.Sub(swept) >= sweepEvery {
				swept = now
				err = j.sweepBlobs(ctx)
			}
			if err != nil && ctx.Err() == nil {
				j.log.Error("retention", "error", err)
			}
		}
	}
}

// Retain removes ended jobs that are past the retention of their queue, then trims the journal below everything that is still needed.
// It runs by itself every ten seconds.
func (j *Jobs) Retain(ctx context.Context, now time.Time) error {
	j.mu.Lock()
	keeps := map[string]config.Keep{}
	for name, q := range j.queues {
		keeps[name] = q.config.Keep
	}
	for key, use := range j.keys {
		if now.Sub(use.at) >= j.config.Jobs.Idempotency {
			delete(j.keys, key)
		}
	}
	j.mu.Unlock()
	for queue, keep := range keeps {
		if err := j.index.retain(ctx, queue, keep, now); err != nil {
			return err
		}
	}
	return j.trim(ctx)
}

// stride is how many rows of the index the retention passes or deletes at once. It has a million of them to look at, perhaps, while requests wait for
// the processor and ended jobs for the file.
const stride = 500

// retain deletes the ended jobs of a queue that are too old or too many, state by state.
func (x *index) retain(ctx context.Context, queue string, keep config.Keep, now time.Time) error {
	for s := Succeeded; s <= Expired; s++ {
		limit := keep.Dead
		if s == Succeeded {
			limit = keep.Succeeded
		}
		cut, err := x.over(ctx, shelf{queue, s}, limit.Count)
		if err != nil {
			return err
		}
		if limit.Age > 0 {
			cut = max(cut, now.Add(-limit.Age).UnixNano())
		}
		for cut > 0 {
			deleted, err := x.delete(ctx, queue, s, cut)
			if err != nil {
				x.bounds.forget()
				return err
			}
			if deleted < stride {
				break
			}
			runtime.Gosched()
		}
	}
	return nil
}

// over is when the last of those jobs ended that are too many, 0 if there are none or too few to look for. A count of 0 is no limit.
func (x *index) over(ctx context.Context, of shelf, count int) (int64, error) {
	if count == 0 || x.bounds.within(of, count) {
		return 0, nil
	}
	x.bounds.counting(of)
	at, id := int64(math.MaxInt64), []byte{}
	for left := count; ; left -= stride {
		err := x.db.QueryRowContext(ctx, `SELECT finished, id FROM jobs WHERE queue = ? AND state = ? AND (finished, id) <= (?, ?)
			ORDER BY finished DESC, id DESC LIMIT 1 OFFSET ?`, of.queue, int64(of.state), at, id, min(left, stride)).Scan(&at, &id)
		switch {
		case errors.Is(err, sql.ErrNoRows):
			x.bounds.counted(of, min(count, count-left+stride))
			return 0, nil
		case err != nil:
			x.bounds.counted(of, -1)
			return 0, err
		case left <= stride:
			x.bounds.counted(of, count) // as soon as those up to here are deleted
			return at, nil
		}
		runtime.Gosched()
	}
}

// delete deletes the oldest jobs of a state that ended up to a time, as many as a stride, and returns how many.
func (x *index) delete(ctx context.Context, queue string, s State, upTo int64) (int64, error) {
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing
	const oldest = "(SELECT id FROM jobs WHERE queue = ? AND state = ? AND finished <= ? ORDER BY finished, id LIMIT ?)"
	var done sql.Result
	for _, statement := range []string{"DELETE FROM events WHERE job IN ", "DELETE FROM blobs WHERE job IN ", "DELETE FROM jobs WHERE id IN "} {
		if done, err = tx.ExecContext(ctx, statement+oldest, queue, int64(s), upTo, stride); err != nil {
			return 0, err
		}
	}
	if err := tx.Commit(); err != nil {
		return 0, err
	}
	n, err := done.RowsAffected()
	x.bounds.deleted(int(n))
	return n, err
}

// oldest is the lowest journal sequence that an ended job of the index may need; MaxUint64 if none needs any.
func (x *index) oldest(ctx context.Context) (uint64, error) {
	if seq, known := x.bounds.floor(); known {
		return seq, nil
	}
	x.bounds.looking()
	lowest, among, last := uint64(math.MaxUint64), 0, []byte{}
	for {
		var passed int
		var found sql.NullInt64
		err := x.db.QueryRowContext(ctx, `SELECT count(*), max(id), min(CASE WHEN finished > 0 AND seq > 0 THEN seq END)
			FROM (SELECT id, finished, seq FROM jobs WHERE id > ? ORDER BY id LIMIT ?)`, last, stride).Scan(&passed, &last, &found)
		if err != nil {
			return 0, err
		}
		among += passed
		if found.Valid {
			lowest = min(lowest, uint64(found.Int64))
		}
		if passed < stride {
			break
		}
		runtime.Gosched()
	}
	x.bounds.found(lowest, among)
	seq, _ := x.bounds.floor()
	return seq, nil
}

// trim carries live jobs that hold back the journal to its end, and purges what nothing needs.
func (j *Jobs) trim(ctx context.Context) error {
	j.mu.Lock() // before the index is read: a job that ends meanwhile is in one of both
	floor := j.committedSeq
	for _, b := range j.recent {
		floor = min(floor, b.seq)
	}
	lowest := floor
	for _, b := range j.live {
		if b.seq > 0 {
			lowest = min(lowest, b.seq)
		}
	}
	j.mu.Unlock()
	oldest, err := j.index.oldest(ctx)
	if err != nil {
		return err
	}
	floor, lowest = min(floor, oldest), min(lowest, oldest)
	j.mu.Lock()
	for _, b := range j.live {
		if b.seq > 0 && b.seq+carryLag < floor && b.Args != nil && !b.ending && b.told() <= carryHistory {
			if err := j.journal.append([]ticket{{kind: recCarry, job: b}}, *b.carry()); err != nil {
				j.mu.Unlock()
				return err
			}
		}
	}
	trimming := lowest > j.trimmed+carryLag/4
	wait := &receipt{done: make(chan struct{})}
	if trimming {
		err = j.carryState(lowest, wait)
	}
	waiting := wait.left > 0
	j.mu.Unlock()
	if err != nil || !trimming {
		return err
	}
	if waiting {
		if err := j.await(ctx, wait.done); err != nil {
			return err
		}
	}
	fault.Point("trim.purging")
	if err := j.stream.Purge(ctx, jetstream.WithPurgeSequence(lowest)); err != nil {
		return err
	}
	j.trimmed = lowest
	return nil
}

// carryState writes again what is not about a job and told below the message lowest: paused queues, schedules, idempotency keys. The
// journal must not be trimmed before that is committed.
func (j *Jobs) carryState(lowest uint64, wait *receipt) error {
	var records []record
	write := func() error {
		if len(records) == 0 {
			return nil
		}
		wait.left++
		err := j.journal.append([]ticket{{kind: recKey, waiter: wait}}, records...)
		records = records[:0]
		return err
	}
	for name, q := range j.queues {
		if q.paused {
			records = append(records, record{kind: recQueue, name: name, paused: true})
		}
	}
	for name, c := range j.crons {
		records = append(records, record{kind: recCron, name: name, at: c.last})
	}
	for key, use := range j.keys {
		if use.seq == 0 || use.seq >= lowest {
			continue
		}
		records = append(records, record{kind: recKey, name: key, id: use.id, hash: use.hash, at: use.at})
		use.seq = j.committedSeq + 1 // that of the record is not below
		j.keys[key] = use
		if len(records) == carryKeys {
			if err := write(); err != nil {
				return err
			}
		}
	}
	return write()
}
