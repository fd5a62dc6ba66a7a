package jobs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/fault"
	"github.com/headrace/headrace/internal/problem"
)

// The journal is the truth about jobs: one stream, each message of which is a frame of many records in the order in which they
// happened. One process writes it, so a job's life costs a fraction of a message and its order needs no agreement; an append that
// finds a foreign message at the end (another process took over) is refused by the engine and ends this writer.
//
// Appending only adds to a buffer. One goroutine publishes what has gathered as one frame, a second one commits published frames
// and reports them, so that the next frame is published while the disk syncs.
type journal struct {
	js       jetstream.JetStream
	node     string
	stream   string
	subject  string
	external bool
	writer   string // differs for each process, so that the engine can tell a repeated message from a foreign one
	commit   func(ctx context.Context, stream string) error
	log      *slog.Logger

	// committed is called with the tickets of a frame, in order of the frames, once it is as durable as configured.
	committed func(seq uint64, tickets []ticket)

	mu       sync.Mutex
	queue    []*frame
	spare    []*frame
	buffered int // bytes in queue
	failed   error
	stopped  bool
	patient  bool // the timer of hurry runs

	wake      chan struct{}
	published chan *frame
	broken    chan struct{} // closed by fail
	last      uint64        // sequence of the last message; owned by the publishing goroutine once started
	done      chan struct{}
}

// ticket is what the plane wants to know of a record when it is committed.
type ticket struct {
	kind   kind
	job    *job
	event  uint32   // number of the job's event, 0 if the record is none
	waiter *receipt // to be released, may be nil

	patient bool // nobody waits for it
}

type frame struct {
	seq     uint64
	body    []byte
	tickets []ticket
}

const (
	frameVersion = 1
	frameHeader  = 1 + 8       // version, unix nanoseconds
	maxFrame     = 512 << 10   // bytes, below the smallest usual NATS payload limit
	maxBuffered  = 128 << 20   // bytes of records that wait to be published
	publishWait  = time.Minute // after this an embedded engine is given up; an external one is waited for
)

// append adds records that belong together: they land in the same frame, or none does.
func (j *journal) append(tickets []ticket, records ...record) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if err := j.room(); err != nil {
		return err
	}
	f := j.open()
	before := len(f.body)
	for i := range records {
		f.body = appendRecord(f.body, &records[i])
	}
	f.tickets = append(f.tickets, tickets...)
	j.buffered += len(f.body) - before
	if !patient(tickets) {
		j.nudge()
	} else if !j.patient {
		j.patient = true
		time.AfterFunc(patience, j.hurry)
	}
	return nil
}

// patience is how long a record may wait to be published if nobody waits for it. A sync costs the disk and the processor more than
// everything else in the life of a short job; such records ride along with those that cannot wait.
const patience = 10 * time.Millisecond

func patient(tickets []ticket) bool {
	for i := range tickets {
		if !tickets[i].patient {
			return false
		}
	}
	return len(tickets) > 0
}

// hurry publishes what is there.
func (j *journal) hurry() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.patient = false
	if !j.stopped {
		j.nudge()
	}
}

func (j *journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// ready tells whether appends are accepted.
func (j *journal) ready() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.room()
}

func (j *journal) room() error {
	switch {
	case j.failed != nil:
		return j.failed
	case j.stopped:
		return problem.New("HR2017", "jobs are stopping")
	case j.buffered > maxBuffered:
		return problem.New("HR5001", "the journal is %d MiB behind", j.buffered>>20)
	}
	return nil
}

// open returns the frame that takes the next records.
func (j *journal) open() *frame {
	if n := len(j.queue); n > 0 && len(j.queue[n-1].body) < maxFrame {
		return j.queue[n-1]
	}
	var f *frame
	if n := len(j.spare); n > 0 {
		f, j.spare = j.spare[n-1], j.spare[:n-1]
	} else {
		f = &frame{body: make([]byte, frameHeader, 4<<10)}
	}
	j.queue = append(j.queue, f)
	return f
}

// take removes the oldest frame, or nil.
func (j *journal) take() *frame {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.queue) == 0 {
		return nil
	}
	f := j.queue[0]
	j.queue = j.queue[1:]
	j.buffered -= len(f.body) - frameHeader
	return f
}

// recycle keeps a frame's memory for the next one, within reason.
func (j *journal) recycle(f *frame) {
	if cap(f.body) > maxFrame*2 {
		return
	}
	clear(f.tickets)
	f.body, f.tickets = f.body[:frameHeader], f.tickets[:0]
	j.mu.Lock()
	if len(j.spare) < 4 {
		j.spare = append(j.spare, f)
	}
	j.mu.Unlock()
}

// start begins to write after the message with sequence last.
func (j *journal) start(last uint64) {
	j.last = last
	j.wake = make(chan struct{}, 1)
	j.published = make(chan *frame)
	j.done = make(chan struct{})
	go j.publishing()
	go j.committing()
}

// stop writes what was appended before it, and returns when that is committed or the context ends.
func (j *journal) stop(ctx context.Context) error {
	j.mu.Lock()
	first := !j.stopped
	j.stopped = true
	j.mu.Unlock()
	if first {
		close(j.wake)
	}
	select {
	case <-j.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("stop the journal: %w", ctx.Err())
	}
}

func (j *journal) publishing() {
	defer close(j.published)
	for range j.wake {
		j.drain()
	}
	j.drain()
}

func (j *journal) drain() {
	for f := j.take(); f != nil; f = j.take() {
		f.body[0] = frameVersion
		binary.LittleEndian.PutUint64(f.body[1:], uint64(time.Now().UnixNano()))
		fault.Point("journal.publishing")
		seq, err := j.publish(f.body)
		if err != nil {
			j.fail(err)
			return
		}
		fault.Point("journal.published")
		j.last, f.seq = seq, seq
		j.published <- f
	}
}

// publish writes one frame. It says which message must be the last one before it, so that a repeated publish after a lost
// acknowledgement cannot write twice, and a second writer is noticed.
func (j *journal) publish(body []byte) (uint64, error) {
	msg := &nats.Msg{Subject: j.subject, Data: body, Header: nats.Header{
		jetstream.ExpectedLastSeqHeader: []string{strconv.FormatUint(j.last, 10)},
		jetstream.MsgIDHeader:           []string{j.writer + "." + strconv.FormatUint(j.last, 10)},
	}}
	give := time.Now().Add(publishWait)
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		ack, err := j.js.PublishMsg(ctx, msg)
		cancel()
		if err == nil {
			return ack.Sequence, nil
		}
		var api *jetstream.APIError
		if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
			return 0, problem.New("HR5008", "another process writes the journal of node %s: %w", j.node, err)
		}
		if !j.external && !time.Now().Before(give) {
			return 0, problem.New("HR5001", "cannot write the journal: %w", err)
		}
		j.log.Warn("journal: publish failed, trying again", "error", err)
		time.Sleep(100 * time.Millisecond)
	}
}

// committing syncs one frame after the other. While it does, the next one is published and waits for it, and everything after that
// gathers in a third: so there is at most one message for each sync, however the records trickle in.
func (j *journal) committing() {
	defer close(j.done)
	for f := range j.published {
		if err := j.commit(context.Background(), j.stream); err != nil {
			j.fail(err)
			continue
		}
		fault.Point("journal.committed")
		j.committed(f.seq, f.tickets)
		j.recycle(f)
	}
}

// fail stops the journal for good: what was not committed is never acknowledged.
func (j *journal) fail(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.failed == nil {
		j.failed = err
		j.log.Error("journal: stopped", "error", err)
		close(j.broken)
	}
}

// replay calls f with every record of the stream in order and returns the last sequence.
func (j *journal) replay(ctx context.Context, stream jetstream.Stream, f func(seq uint64, at time.Time, r *record) error) (uint64, error) {
	info, err := stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the journal: %w", err)
	}
	last := info.State.LastSeq
	if info.State.Msgs == 0 {
		return last, nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverAllPolicy})
	if err != nil {
		return 0, fmt.Errorf("read the journal: %w", err)
	}
	messages, err := consumer.Messages(jetstream.PullMaxBytes(8 << 20))
	if err != nil {
		return 0, fmt.Errorf("read the journal: %w", err)
	}
	defer messages.Stop()
	for {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return 0, fmt.Errorf("read the journal: %w", err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return 0, fmt.Errorf("read the journal: %w", err)
		}
		seq := meta.Sequence.Stream
		if err := eachRecord(msg.Data(), func(at time.Time, r *record) error { return f(seq, at, r) }); err != nil {
			return 0, fmt.Errorf("journal message %d: %w", seq, err)
		}
		if seq >= last {
			return last, nil
		}
	}
}

// eachRecord calls f with the records of one frame; their bytes point into body.
func eachRecord(body []byte, f func(at time.Time, r *record) error) error {
	if len(body) < frameHeader {
		return errTorn
	}
	if body[0] != frameVersion {
		return problem.New("HR5004", "journal frame of version %d, this headrace reads %d", body[0], frameVersion)
	}
	at := fromNanos(binary.LittleEndian.Uint64(body[1:]))
	for rest := body[frameHeader:]; len(rest) > 0; {
		k, fields, next, err := nextRecord(rest)
		if err != nil {
			return err
		}
		r, err := parseRecord(k, fields)
		if err != nil {
			return err
		}
		if err := f(at, &r); err != nil {
			return err
		}
		rest = next
	}
	return nil
}
