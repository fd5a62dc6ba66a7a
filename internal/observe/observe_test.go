package observe_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

func TestTextLog(t *testing.T) {
	var b bytes.Buffer
	log, level := observe.NewLog(&b, observe.LogOptions{Level: "info", Format: "auto", Terminal: true})
	log.Debug("hidden")
	log.With("plane", "jobs").WithGroup("g").Info("ready", "took", time.Second)
	log.Warn("alone")
	level.Set(slog.LevelDebug)
	log.Error("broken", observe.Error(problem.New("HR5002", "1 MiB left").At("/data")))
	want := regexp.MustCompile(`^\d\d:\d\d:\d\d INFO  ready  plane=jobs g.took=1s
\d\d:\d\d:\d\d WARN  alone
\d\d:\d\d:\d\d ERROR broken  error="1 MiB left" code=HR5002 where=/data hint="free space.*"
$`)
	if !want.Match(b.Bytes()) {
		t.Errorf("got:\n%s", &b)
	}
}

func TestJSONLog(t *testing.T) {
	for _, o := range []observe.LogOptions{{Format: "auto"}, {Format: "json", Terminal: true}} {
		var b bytes.Buffer
		log, _ := observe.NewLog(&b, o)
		log.With("timeout", time.Minute).Info("ready", observe.Error(errors.New("plain")), "took", 1500*time.Millisecond)
		var line map[string]any
		if err := json.Unmarshal(b.Bytes(), &line); err != nil || line["msg"] != "ready" || line["error"] != "plain" || line["took"] != "1.5s" || line["timeout"] != "1m0s" {
			t.Errorf("%+v: %v, %s", o, err, &b)
		}
	}
}

var (
	engineDown = &observe.Condition{Code: "engine-down", Severity: observe.Critical, Title: "engine is down"}
	queueStuck = &observe.Condition{Code: "queue-stuck", Severity: observe.Warning, Title: "queue is stuck", DependsOn: engineDown}
)

func TestHealth(t *testing.T) {
	var b bytes.Buffer
	log, _ := observe.NewLog(&b, observe.LogOptions{Format: "text"})
	h := observe.NewHealth(log)
	if r := h.Report(); !r.Ready || len(r.Conditions) != 0 {
		t.Errorf("at first: %+v", r)
	}
	h.Raise(queueStuck, "mail", "%d jobs", 3)
	h.Raise(queueStuck, "mail", "%d jobs", 4)
	r := h.Report()
	if !r.Ready || len(r.Conditions) != 1 || r.Conditions[0].Text != "4 jobs" || r.Conditions[0].Subject != "mail" {
		t.Errorf("with a warning: %+v", r)
	}
	h.Raise(engineDown, "", "no disk")
	if r := h.Report(); r.Ready || len(r.Conditions) != 1 || r.Conditions[0].Code != "engine-down" {
		t.Errorf("with the cause: %+v", r)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(h)
	families, err := registry.Gather()
	if err != nil || len(families) != 1 || len(families[0].Metric) != 2 {
		t.Errorf("metrics: %v, %v", families, err)
	}
	h.Clear(engineDown, "")
	h.Clear(engineDown, "")
	if r := h.Report(); !r.Ready || len(r.Conditions) != 1 {
		t.Errorf("after it: %+v", r)
	}
	if lines := strings.Count(b.String(), "\n"); lines != 3 {
		t.Errorf("%d lines for two raised and one cleared:\n%s", lines, &b)
	}
}

func TestMetrics(t *testing.T) {
	registry := observe.NewRegistry("1.2.3")
	if err := observe.CheckNames(registry); err != nil {
		t.Error(err)
	}
	server := httptest.NewServer(observe.MetricsHandler(registry))
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	for _, want := range []string{`version="1.2.3"`, "go_goroutines", "process_open_fds"} {
		if !bytes.Contains(body, []byte(want)) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "headrace_things", Help: "x"}))
	if err := observe.CheckNames(registry); err == nil {
		t.Error("a metric without a plane passed")
	}
}

const header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

func TestTraceparent(t *testing.T) {
	zero := strings.Repeat("0", 16)
	for text, want := range map[string]string{
		header:                        header,
		header[:53] + "00":            header[:53] + "00",
		header[:53] + "03":            header,
		"01" + header[2:] + "-future": header,
		"00" + header[2:] + "-extra":  "",
		"01" + header[2:] + "x":       "",
		"ff" + header[2:]:             "",
		strings.ToUpper(header):       "",
		header[:54]:                   "",
		"":                            "",
		"00-" + zero + zero + "-00f067aa0ba902b7-01":          "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-" + zero + "-01": "",
	} {
		sc, ok := observe.ParseTraceparent(text)
		if ok != (want != "") {
			t.Errorf("%q: valid %v", text, ok)
		}
		if ok && observe.FormatTraceparent(sc) != want {
			t.Errorf("%q: got %s", text, observe.FormatTraceparent(sc))
		}
	}
	if got := observe.FormatTraceparent(trace.SpanContext{}); got != "" {
		t.Errorf("no span: %q", got)
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(header)
	f.Fuzz(func(t *testing.T, text string) {
		if sc, ok := observe.ParseTraceparent(text); ok {
			again, ok := observe.ParseTraceparent(observe.FormatTraceparent(sc))
			if !ok || !again.Equal(sc) {
				t.Errorf("%q: %v, %v", text, sc, again)
			}
		}
	})
}

func TestSpansReachTheCollector(t *testing.T) {
	received := make(chan *collector.ExportTraceServiceRequest, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var request collector.ExportTraceServiceRequest
		if err := proto.Unmarshal(body, &request); err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Api-Key") != "k" {
			t.Errorf("%s %v: %v", r.URL.Path, r.Header, err)
		}
		received <- &request
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	traces, err := observe.NewTraces(ctx, observe.TraceOptions{OTLP: server.URL, Sample: 0, Headers: map[string]string{"Api-Key": "k"}, Node: "main"})
	if err != nil {
		t.Fatal(err)
	}
	_, root := traces.Start(ctx, "not sampled")
	root.End()
	parent, _ := observe.ParseTraceparent(header)
	_, span := traces.Start(trace.ContextWithRemoteSpanContext(ctx, parent), "job")
	span.End()
	if err := traces.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case request := <-received:
		spans := request.ResourceSpans[0].ScopeSpans[0].Spans
		if len(spans) != 1 || spans[0].Name != "job" {
			t.Errorf("spans: %v", spans)
		}
	case <-ctx.Done():
		t.Fatal("nothing received")
	}
}

func TestNoCollectorNoSpan(t *testing.T) {
	traces, err := observe.NewTraces(t.Context(), observe.TraceOptions{})
	if err != nil || traces.Recording() {
		t.Fatal(err)
	}
	ctx := t.Context()
	if allocs := testing.AllocsPerRun(100, func() { _, span := traces.Start(ctx, "x"); span.End() }); allocs > 1 {
		t.Errorf("%v allocations for a span that goes nowhere", allocs)
	}
	if err := traces.Stop(ctx); err != nil {
		t.Error(err)
	}
}
