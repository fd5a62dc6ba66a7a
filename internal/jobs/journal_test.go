package jobs

import (
	"bytes"
	"context"
	"log/slog"
	"sync"
	"syscall"
	"testing"
	"time"
	"unique"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/headrace/headrace/internal/engine"
)

// cpu is the processor time this process has used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		t.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

func bareEngine(t testing.TB) (*engine.Engine, jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	ctx := context.Background()
	eng, err := engine.Open(ctx, engine.Config{Data: t.TempDir(), Durability: engine.Fsync, MinFree: -1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := eng.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	conn, err := eng.Connect("bench")
	if err != nil {
		t.Fatal(err)
	}
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(1024))
	if err != nil {
		t.Fatal(err)
	}
	stream, err := eng.Stream(ctx, js, jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}, Storage: jetstream.FileStorage})
	if err != nil {
		t.Fatal(err)
	}
	return eng, js, stream
}

func benchSpec() *Spec {
	return &Spec{ID: ID{1}, Function: "noop", Queue: "default", Args: []byte(`{"a":1}`), Created: time.Now(), Policy: unique.Make(Policy{Retries: 3}), Rare: &noRare}
}

// BenchmarkLifeInJournal is what the life of a job costs the engine as three records of the journal: enqueued, started, ended.
func BenchmarkLifeInJournal(b *testing.B) {
	eng, js, _ := bareEngine(b)
	var all sync.WaitGroup
	j := &journal{js: js, node: "bench", stream: "S", subject: "s", writer: "w", commit: eng.Commit, log: slog.New(slog.DiscardHandler),
		broken: make(chan struct{}), committed: func(_ uint64, tickets []ticket) { all.Add(-len(tickets)) }}
	j.start(0)
	spec := benchSpec()
	b.ResetTimer()
	before := cpu(b)
	for i := range b.N {
		if i%100_000 == 0 {
			all.Wait() // what is not published yet stays far below the limit of the buffer
		}
		all.Add(3)
		for _, r := range []record{{kind: recEnqueue, spec: spec}, {kind: recStart, id: spec.ID, run: 1}, {kind: recEnd, id: spec.ID, run: 1, state: Succeeded, body: []byte("null")}} {
			if err := j.append([]ticket{{}}, r); err != nil {
				b.Fatal(err)
			}
		}
	}
	all.Wait()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e3, "µs-cpu/job")
	if err := j.stop(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkLifeInMessages is the same as a message to enqueue it, a durable pull consumer that delivers and acknowledges it, and a message
// for its end: the layout the journal was chosen over.
func BenchmarkLifeInMessages(b *testing.B) {
	eng, js, stream := bareEngine(b)
	ctx := context.Background()
	if _, err := eng.Stream(ctx, js, jetstream.StreamConfig{Name: "E", Subjects: []string{"e"}, Storage: jetstream.FileStorage}); err != nil {
		b.Fatal(err)
	}
	consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 1024})
	if err != nil {
		b.Fatal(err)
	}
	body := benchSpec().append(nil)
	end := bytes.Repeat([]byte{1}, 40)
	var all sync.WaitGroup
	all.Add(b.N)
	b.ResetTimer()
	before := cpu(b)
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		if _, err := js.PublishAsync("e", end); err != nil {
			b.Error(err)
		}
		if err := m.Ack(); err != nil {
			b.Error(err)
		}
		all.Done()
	})
	if err != nil {
		b.Fatal(err)
	}
	for n := range b.N {
		if _, err := js.PublishAsync("s", body); err != nil {
			b.Fatal(err)
		}
		if n%256 == 255 {
			if err := eng.Commit(ctx, "S"); err != nil {
				b.Fatal(err)
			}
		}
	}
	all.Wait()
	<-js.PublishAsyncComplete()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/1e3, "µs-cpu/job")
	consuming.Stop()
}

func FuzzRecord(f *testing.F) {
	spec := benchSpec()
	spec.setRare(Rare{Key: "k", Tags: []string{"t"}, After: []ID{{2}}, Trace: "00-1"})
	for _, r := range []*record{
		{kind: recEnqueue, spec: spec}, {kind: recStart, id: ID{1}, run: 1}, {kind: recCarry, spec: spec, carried: &carried{runs: 2, checkpoint: []byte("{}")}},
		{kind: recFail, id: ID{1}, attempt: &Attempt{Number: 1, Ending: "failed"}, at: time.Unix(1, 0)}, {kind: recKey, name: "k", hash: 7},
	} {
		f.Add(appendRecord(make([]byte, frameHeader), r))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(body) > 0 {
			body[0] = frameVersion
		}
		_ = eachRecord(body, func(at time.Time, r *record) error {
			again := appendRecord(append([]byte{frameVersion}, make([]byte, 8)...), r)
			return eachRecord(again, func(_ time.Time, s *record) error {
				if s.kind != r.kind || s.id != r.id || s.run != r.run || !bytes.Equal(s.body, r.body) || s.name != r.name {
					t.Fatalf("%+v became %+v", r, s)
				}
				return nil
			})
		})
	})
}
