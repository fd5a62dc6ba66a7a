package control

import (
	"testing"

	"github.com/valyala/fasthttp"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/internal/problem"
)

// FuzzOptions: whatever stands in a query or a header is taken or is a problem of the client.
func FuzzOptions(f *testing.F) {
	f.Add("delay=5m&tags=a,b&priority=high&retries=0&unique_policy=newest&after=01ARZ3NDEKTSV4RRFFQ69G5FAV", "2026-01-02T03:04:05Z")
	f.Add("a=%ff&;=&delay=99999999999999d", "x")
	f.Fuzz(func(t *testing.T, query, header string) {
		var ctx fasthttp.RequestCtx
		ctx.Request.SetRequestURI("/v1/jobs/f")
		ctx.Request.URI().SetQueryString(query)
		ctx.Request.Header.Set("Headrace-Run-At", header)
		r := &exchange.Request{RequestCtx: &ctx}
		var q jobs.Request
		if _, err := options(r, q.Option); err != nil {
			if status := problem.From(err).Status(); status < 400 || status >= 500 {
				t.Fatalf("%q: %v", query, err)
			}
		}
		if _, err := filter(r); err != nil && problem.From(err).Code != "HR2019" {
			t.Fatalf("%q: %v", query, err)
		}
	})
}

func BenchmarkOptions(b *testing.B) {
	var ctx fasthttp.RequestCtx
	ctx.Request.SetRequestURI("/v1/jobs/f?delay=5m&priority=high&retries=3")
	ctx.Request.Header.Set("Headrace-Key", "tenant-1")
	ctx.Request.Header.Set("Content-Type", "application/json")
	r := &exchange.Request{RequestCtx: &ctx}
	b.ReportAllocs()
	for b.Loop() {
		var q jobs.Request
		if _, err := options(r, q.Option); err != nil || q.Key != "tenant-1" {
			b.Fatal(err)
		}
	}
}
