package jobs

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/problem"
)

// frameCache keeps the journal frame that was read last: jobs whose arguments were left there tend to stand in one frame.
type frameCache struct {
	mu   sync.Mutex
	seq  uint64
	body []byte
}

// frame returns the body of a journal message.
func (j *Jobs) frame(ctx context.Context, seq uint64) ([]byte, error) {
	c := &j.frames
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seq == seq && seq != 0 {
		return c.body, nil
	}
	msg, err := j.stream.GetMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, problem.New("HR2009", "the journal was trimmed past this record")
	}
	if err != nil {
		return nil, fmt.Errorf("read the journal: %w", err)
	}
	c.seq, c.body = seq, msg.Data
	return msg.Data, nil
}

var errFound = errors.New("found")

// recorded returns the first record of a journal message that matches; its bytes must not be changed.
func (j *Jobs) recorded(ctx context.Context, seq uint64, match func(*record) bool) (record, error) {
	body, err := j.frame(ctx, seq)
	if err != nil {
		return record{}, err
	}
	var found record
	err = eachRecord(body, func(_ time.Time, r *record) error {
		if match(r) {
			found = *r
			return errFound
		}
		return nil
	})
	if errors.Is(err, errFound) {
		return found, nil
	}
	if err == nil {
		err = problem.New("HR2009", "the record is not in the journal")
	}
	return record{}, err
}

// stored reads the spec of a job from the journal.
func (j *Jobs) stored(ctx context.Context, id ID, seq uint64) (*Spec, error) {
	r, err := j.recorded(ctx, seq, func(r *record) bool { return r.spec != nil && r.id == id })
	return r.spec, err
}

// arguments returns the arguments of a job and who asked for it, from memory or from the journal.
func (j *Jobs) arguments(b *job) ([]byte, identity.Caller, error) {
	j.mu.Lock()
	args, caller, seq := b.Args, b.caller(), b.seq
	j.mu.Unlock()
	if args != nil {
		return args, caller, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	s, err := j.stored(ctx, b.ID, seq)
	if err != nil {
		return nil, caller, err
	}
	return s.Args, s.caller(), nil
}

// forget drops the arguments of a committed job, and the claims of its caller, from memory.
func (j *Jobs) forget(b *job) {
	j.argBytes -= b.held()
	b.Args = nil
	if c := b.caller(); c.Claims != "" {
		c.Claims = ""
		b.called(c)
	}
}
