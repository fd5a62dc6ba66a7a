package jobs

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/workers"
)

// SetTraces makes every run of a job a span below the request or the job that enqueued it. Call it before SetPool.
func (j *Jobs) SetTraces(t *observe.Traces) { j.traces = t }

// trace begins the span of a run and returns the trace context that the function and its children continue: the run's own, or the
// job's where no spans are recorded.
func (r *run) trace(now time.Time) string {
	j, b := r.jobs, r.job
	if j.traces == nil || !j.traces.Recording() {
		return b.Trace
	}
	ctx := context.Background()
	if parent, ok := observe.ParseTraceparent(b.Trace); ok {
		ctx = trace.ContextWithRemoteSpanContext(ctx, parent)
	}
	_, r.span = j.traces.Start(ctx, "job "+b.Function, trace.WithTimestamp(now), trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(
		attribute.String("headrace.job.id", b.ID.String()),
		attribute.String("headrace.job.queue", b.Queue),
		attribute.Int("headrace.job.attempt", b.number()),
	))
	return observe.FormatTraceparent(r.span.SpanContext())
}

// endTrace ends the span of a run.
func (r *run) endTrace(o *workers.Outcome, now time.Time) {
	if r.span == nil {
		return
	}
	r.span.SetAttributes(attribute.String("headrace.worker", r.job.worker), attribute.String("headrace.job.ending", endingNames[o.Ending]))
	if o.Error != nil {
		r.span.SetStatus(codes.Error, o.Error.Type+": "+o.Error.Message)
	} else if o.Ending != workers.Succeeded {
		r.span.SetStatus(codes.Error, endingNames[o.Ending])
	}
	r.span.End(trace.WithTimestamp(now))
}
