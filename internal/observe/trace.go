package observe

import (
	"context"
	"encoding/hex"
	"net/url"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// ParseTraceparent reads the W3C header traceparent. It is false for anything that the recommendation calls invalid, which is to
// be treated as if the header was not there.
func ParseTraceparent(header string) (trace.SpanContext, bool) {
	none := trace.SpanContext{}
	if len(header) < 55 || header[2] != '-' || header[35] != '-' || header[52] != '-' {
		return none, false
	}
	version, ok := lowerHex(header[:2])
	if !ok || version[0] == 0xff || version[0] == 0 && len(header) != 55 || len(header) > 55 && header[55] != '-' {
		return none, false
	}
	traceID, ok1 := lowerHex(header[3:35])
	spanID, ok2 := lowerHex(header[36:52])
	flags, ok3 := lowerHex(header[53:55])
	if !ok1 || !ok2 || !ok3 {
		return none, false
	}
	sc := trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID(traceID), SpanID: trace.SpanID(spanID), TraceFlags: trace.TraceFlags(flags[0]) & trace.FlagsSampled, Remote: true,
	})
	return sc, sc.IsValid()
}

// FormatTraceparent is the header traceparent for a span, or "" if the span is none.
func FormatTraceparent(sc trace.SpanContext) string {
	if !sc.IsValid() {
		return ""
	}
	id, span, flags := sc.TraceID(), sc.SpanID(), sc.TraceFlags()&trace.FlagsSampled
	b := make([]byte, 0, 55)
	b = append(b, "00-"...)
	b = hex.AppendEncode(b, id[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, span[:])
	b = append(b, '-')
	b = hex.AppendEncode(b, []byte{byte(flags)})
	return string(b)
}

func lowerHex(text string) ([]byte, bool) {
	for i := range len(text) {
		if c := text[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return nil, false
		}
	}
	b, err := hex.DecodeString(text)
	return b, err == nil
}

// TraceOptions say where spans go.
type TraceOptions struct {
	OTLP    string            // address of an OTLP/HTTP collector, as in http://localhost:4318; empty records nothing
	Sample  float64           // share of the traces that begin here, 0 to 1
	Headers map[string]string // sent to the collector
	Node    string            // service.instance.id
	Version string            // service.version
}

// Traces makes spans.
type Traces struct {
	trace.Tracer
	provider *sdktrace.TracerProvider // nil if nothing is recorded
}

// NewTraces returns a tracer that exports in batches, or one whose spans do nothing where no collector is configured. It does not
// wait for the collector; spans that cannot be delivered are dropped.
func NewTraces(ctx context.Context, o TraceOptions) (*Traces, error) {
	const name = "github.com/headrace/headrace"
	if o.OTLP == "" {
		return &Traces{Tracer: noop.NewTracerProvider().Tracer(name)}, nil
	}
	endpoint, err := url.Parse(o.OTLP)
	if err != nil {
		return nil, err
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(endpoint.String()), otlptracehttp.WithHeaders(o.Headers))
	if err != nil {
		return nil, err
	}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithBatcher(exporter),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(o.Sample))),
		sdktrace.WithResource(resource.NewSchemaless(
			attribute.String("service.name", "headrace"),
			attribute.String("service.instance.id", o.Node),
			attribute.String("service.version", o.Version),
		)),
	)
	return &Traces{Tracer: provider.Tracer(name), provider: provider}, nil
}

// Recording tells whether spans go anywhere; code that would build attributes can ask first.
func (t *Traces) Recording() bool { return t.provider != nil }

// Stop delivers what is waiting, within the deadline of ctx.
func (t *Traces) Stop(ctx context.Context) error {
	if t.provider == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}
