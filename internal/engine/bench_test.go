package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// BenchmarkCommit measures acknowledged messages of 128 bytes from 1, 64 and 1024 publishers that each wait for one before
// the next: with the commit clock, without a sync, and with the server's own sync for every message.
func BenchmarkCommit(b *testing.B) {
	for _, publishers := range []int{1, 64, 1024} {
		for _, level := range []Durability{Fsync, Written} {
			b.Run(fmt.Sprintf("%s/%d", level, publishers), func(b *testing.B) {
				e := open(b, Config{Durability: level})
				measure(b, connect(b, e), publishers, func() error { return e.Commit(b.Context(), "BENCH") })
			})
		}
		b.Run(fmt.Sprintf("always/%d", publishers), func(b *testing.B) {
			srv, err := server.NewServer(&server.Options{DontListen: true, JetStream: true, StoreDir: b.TempDir(), NoSigs: true, NoLog: true, SyncAlways: true})
			must(b, err)
			srv.Start()
			b.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
			conn, err := nats.Connect("", nats.InProcessServer(srv))
			must(b, err)
			b.Cleanup(conn.Close)
			js, err := jetstream.New(conn)
			must(b, err)
			measure(b, js, publishers, func() error { return nil })
		})
	}
}

func measure(b *testing.B, js jetstream.JetStream, publishers int, commit func() error) {
	_, err := js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "BENCH", Subjects: []string{"bench"}})
	must(b, err)
	message := make([]byte, 128)
	took := make([]time.Duration, b.N)
	var next, done sync.WaitGroup
	work := make(chan int, b.N)
	for i := range b.N {
		work <- i
	}
	close(work)
	next.Add(1)
	for range publishers {
		done.Go(func() {
			next.Wait()
			for i := range work {
				began := time.Now()
				if err := publishOne(b.Context(), js, message); err != nil {
					b.Error(err)
					return
				}
				if err := commit(); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	b.ResetTimer()
	next.Done()
	done.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(took[b.N/2].Microseconds()), "p50-µs")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds()), "p99-µs")
}

func publishOne(ctx context.Context, js jetstream.JetStream, message []byte) error {
	future, err := js.PublishAsync("bench", message)
	if err != nil {
		return err
	}
	select {
	case <-future.Ok():
		return nil
	case err := <-future.Err():
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
