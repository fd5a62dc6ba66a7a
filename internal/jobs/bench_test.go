package jobs

import (
	"context"
	"testing"
	"time"
)

// BenchmarkNoop runs no-op jobs through the journal (synced), real worker processes and the result records.
func BenchmarkNoop(b *testing.B) {
	rig := newRig(b, noopApp)
	ctx := context.Background()
	b.ResetTimer()
	const batch = 100
	var last []Receipt
	sem := make(chan struct{}, 8)
	for n := 0; n < b.N; n += batch {
		sem <- struct{}{}
		requests := make([]Request, min(batch, b.N-n))
		for i := range requests {
			requests[i] = Request{Function: "noop", Args: []byte("{}")}
		}
		run := func() {
			receipts, err := rig.jobs.Enqueue(ctx, requests)
			if err != nil {
				b.Error(err)
			}
			last = receipts
			<-sem
		}
		if n+batch >= b.N {
			run()
		} else {
			go run()
		}
	}
	_ = last
	deadline := time.Now().Add(2 * time.Minute)
	for rig.jobs.Queues()[0].Succeeded < int64(b.N) {
		if time.Now().After(deadline) {
			b.Fatalf("%+v", rig.jobs.Queues())
		}
		time.Sleep(time.Millisecond)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
