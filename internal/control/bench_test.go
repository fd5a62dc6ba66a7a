package control_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/headrace/headrace/bench/load"
)

// The load generator runs on the same CPUs as the server, so these figures are for comparison between versions, not for the docs.
func benchmark(b *testing.B, connections, per int, request func(int, []byte) []byte, want int) {
	drive(newRig(b), b, connections, per, request, want)
}

func drive(r *rig, b *testing.B, connections, per int, request func(int, []byte) []byte, want int) {
	b.ResetTimer()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	result, err := load.Closed(ctx, load.Plan{
		Addr: r.control.Addr().String(), Connections: connections, Requests: b.N, Next: request,
		Check: func(_, status int, body []byte, _, _ time.Time) error {
			if status != want {
				return fmt.Errorf("status %d: %.300s", status, body)
			}
			return nil
		},
	})
	if err != nil || result.Error != nil {
		b.Fatal(err, result.Error)
	}
	b.ReportMetric(float64(b.N*per)/time.Since(began).Seconds(), "per_s")
}

func post(into []byte, path, body string) []byte {
	return fmt.Appendf(into, "POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body)
}

func BenchmarkEnqueue(b *testing.B) {
	benchmark(b, 256, 1, func(_ int, into []byte) []byte { return post(into, "/v1/jobs/noop", "{}") }, 202)
}

func BenchmarkEnqueueMany(b *testing.B) {
	body := []byte("[")
	for i := range 100 {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, `{"function":"noop","args":{}}`...)
	}
	body = append(body, ']')
	benchmark(b, 8, 100, func(_ int, into []byte) []byte { return post(into, "/v1/jobs", string(body)) }, 202)
}

func BenchmarkCall(b *testing.B) {
	benchmark(b, 64, 1, func(i int, into []byte) []byte { return post(into, "/v1/calls/answer", fmt.Sprintf(`{"index":%d}`, i)) }, 200)
}

// BenchmarkPublish is the server API in a channel without subscribers: plain keeps nothing, durable is acknowledged after the commit.
func BenchmarkPublish(b *testing.B) {
	for name, channel := range map[string]string{"plain": "room", "durable": "chat:room"} {
		b.Run(name, func(b *testing.B) {
			body := `{"channel":"` + channel + `","data":{"text":"hello, world","n":12345}}`
			drive(newLiveRig(b), b, 64, 1, func(_ int, into []byte) []byte { return post(into, "/api/publish", body) }, 200)
		})
	}
}
