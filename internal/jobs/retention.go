package jobs

import (
	"context"
	"database/sql"
	"errors"
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

// retain deletes the ended jobs of a queue that are too old or too many, state by state.
func (x *index) retain(ctx context.Context, queue string, keep config.Keep, now time.Time) error {
	for s := Succeeded; s <= Expired; s++ {
		limit := keep.Dead
		if s == Succeeded {
			limit = keep.Succeeded
		}
		cut := int64(0)
		if limit.Age > 0 {
			cut = now.Add(-limit.Age).UnixNano()
		}
		if limit.Count > 0 {
			var at int64
			err := x.db.QueryRowContext(ctx, "SELECT finished FROM jobs WHERE queue = ? AND state = ? ORDER BY finished DESC LIMIT 1 OFFSET ?",
				queue, int64(s), limit.Count).Scan(&at)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			cut = max(cut, at)
		}
		for _, statement := range []string{
			"DELETE FROM events WHERE job IN (SELECT id FROM jobs WHERE queue = ? AND state = ? AND finished <= ?)",
			"DELETE FROM blobs WHERE job IN (SELECT id FROM jobs WHERE queue = ? AND state = ? AND finished <= ?)",
			"DELETE FROM jobs WHERE queue = ? AND state = ? AND finished <= ?",
		} {
			if _, err := x.db.ExecContext(ctx, statement, queue, int64(s), cut); err != nil {
				return err
			}
		}
	}
	return nil
}

// oldest is the lowest journal sequence that an ended job of the index needs, or 0.
func (x *index) oldest(ctx context.Context) (seq uint64, err error) {
	var found sql.NullInt64
	err = x.db.QueryRowContext(ctx, "SELECT min(seq) FROM jobs WHERE finished > 0 AND seq > 0").Scan(&found)
	return uint64(found.Int64), err
}

// trim carries live jobs that hold back the journal to its end, and purges what nothing needs.
func (j *Jobs) trim(ctx context.Context) error {
	oldest, err := j.index.oldest(ctx)
	if err != nil {
		return err
	}
	j.mu.Lock()
	floor := j.committedSeq
	if oldest > 0 {
		floor = min(floor, oldest)
	}
	for _, b := range j.recent {
		floor = min(floor, b.seq)
	}
	lowest := floor
	for _, b := range j.live {
		if b.seq == 0 {
			continue
		}
		if b.seq+carryLag < floor && b.Args != nil && !b.ending && b.told() <= carryHistory {
			if err := j.journal.append([]ticket{{kind: recCarry, job: b}}, b.carry()); err != nil {
				j.mu.Unlock()
				return err
			}
		}
		lowest = min(lowest, b.seq)
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
	var records []*record
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
			records = append(records, &record{kind: recQueue, name: name, paused: true})
		}
	}
	for name, c := range j.crons {
		records = append(records, &record{kind: recCron, name: name, at: c.last})
	}
	for key, use := range j.keys {
		if use.seq == 0 || use.seq >= lowest {
			continue
		}
		records = append(records, &record{kind: recKey, name: key, id: use.id, hash: use.hash, at: use.at})
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
