package jobs

import (
	"context"
	"testing"
)

// BenchmarkNoop runs no-op jobs through the journal (synced), real worker processes and the result records.
func BenchmarkNoop(b *testing.B) {
	rig := newRig(b, noopApp)
	ctx := context.Background()
	b.ResetTimer()
	const batch = 100
	sem := make(chan struct{}, 8)
	for n := 0; n < b.N; n += batch {
		sem <- struct{}{}
		requests := make([]Request, min(batch, b.N-n))
		for i := range requests {
			requests[i] = Request{Function: "noop", Args: []byte("{}")}
		}
		go func() {
			if _, err := rig.jobs.Enqueue(ctx, requests); err != nil {
				b.Error(err)
			}
			<-sem
		}()
	}
	rig.until("all jobs succeeded", func() bool {
		queues := rig.jobs.Queues()
		return len(queues) > 0 && queues[0].Succeeded == int64(b.N)
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}
