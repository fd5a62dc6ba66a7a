package control_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/engine/blob"
	"github.com/headrace/headrace/internal/jobs"
	"github.com/headrace/headrace/spec"
)

// document is spec/openapi with its schemas compiled on demand.
type document struct {
	doc      any
	compiler *jsonschema.Compiler
}

func readDocument(t *testing.T) *document {
	t.Helper()
	text, err := yaml.YAMLToJSON(spec.OpenAPI())
	must(t, err)
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	d := &document{doc: doc, compiler: jsonschema.NewCompiler()}
	d.compiler.DefaultDraft(jsonschema.Draft2020)
	d.compiler.AssertFormat()
	must(t, d.compiler.AddResource("file:///openapi.json", doc))
	return d
}

// operations are all "METHOD /path" of the document.
func (d *document) operations() (list []string) {
	for path, item := range d.doc.(map[string]any)["paths"].(map[string]any) {
		for method := range item.(map[string]any) {
			list = append(list, strings.ToUpper(method)+" "+path)
		}
	}
	slices.Sort(list)
	return list
}

// check fails unless the answer is one that the document has for the operation.
func (d *document) check(t *testing.T, operation string, got answer) {
	t.Helper()
	method, path, _ := strings.Cut(operation, " ")
	escape := func(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }
	pointer := "#/paths/" + escape(path) + "/" + strings.ToLower(method) + "/responses/"
	responses := d.doc.(map[string]any)["paths"].(map[string]any)[path].(map[string]any)[strings.ToLower(method)].(map[string]any)["responses"].(map[string]any)
	status := fmt.Sprint(got.status)
	response, ok := responses[status].(map[string]any)
	if !ok {
		status = "default"
		if response, ok = responses[status].(map[string]any); !ok {
			t.Fatalf("%s: status %v is not in the document", operation, got)
		}
	}
	pointer += status
	if ref, ok := response["$ref"].(string); ok {
		pointer = ref
		response = d.doc.(map[string]any)["components"].(map[string]any)["responses"].(map[string]any)[strings.TrimPrefix(ref, "#/components/responses/")].(map[string]any)
	}
	content, _ := response["content"].(map[string]any)
	if got.body == "" {
		return
	}
	media, _, err := mime.ParseMediaType(got.header.Get("Content-Type"))
	must(t, err)
	if content[media] == nil {
		if content["*/*"] == nil {
			t.Fatalf("%s: media type %s of status %d is not in the document", operation, media, got.status)
		}
		return
	}
	if !strings.HasSuffix(media, "json") || media == "application/x-ndjson" {
		return
	}
	schema, err := d.compiler.Compile("file:///openapi.json" + pointer + "/content/" + escape(media) + "/schema")
	must(t, err)
	value, err := jsonschema.UnmarshalJSON(strings.NewReader(got.body))
	must(t, err)
	if err := schema.Validate(value); err != nil {
		t.Fatalf("%s: %s\n%v", operation, got.body, err)
	}
}

// Every operation of the document is called on the real server, with success and with failure, and answers as the document says.
func TestOpenAPI(t *testing.T) {
	r := newRig(t, func(c *config.Config) { c.Live = liveConfig() })
	d := readDocument(t)
	called := map[string]bool{}
	call := func(operation, path, body string, want int, headers ...string) answer {
		t.Helper()
		method, pattern, _ := strings.Cut(operation, " ")
		if path == "" {
			path = pattern
		}
		got := r.do(method, path, body, headers...)
		if got.status != want {
			t.Fatalf("%s %s: %v, want %d", method, path, got, want)
		}
		d.check(t, operation, got)
		if got.status < 400 {
			called[operation] = true
		} else {
			got.code(t)
		}
		return got
	}
	const unknown = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
	path := filepath.Join(r.dir, "go-on")
	must(t, os.WriteFile(path, nil, 0o600))
	story := call("POST /v1/jobs/{function}", "/v1/jobs/story?wait=20s&tags=a,b&priority=high&key=k", `{"path":"`+path+`"}`, 200).json(t)["id"].(string)
	fails := call("POST /v1/jobs/{function}", "/v1/jobs/fails?wait=20s", "", 200).json(t)["id"].(string)
	call("POST /v1/jobs/{function}", "/v1/jobs/noop", "{}", 202, "Idempotency-Key", "x")
	call("POST /v1/jobs/{function}", "/v1/jobs/noop", "{}", 202, "Idempotency-Key", "x")
	call("POST /v1/jobs/{function}", "/v1/jobs/nope", "{}", 404)
	call("POST /v1/jobs/{function}", "/v1/jobs/send", `{"to":1}`, 422)
	call("POST /v1/jobs", "", `[{"function":"noop"}]`, 202)
	call("POST /v1/jobs", "", `[{"function":"noop"},{"function":"nope"}]`, 207)
	call("POST /v1/jobs", "", `[`, 400)
	info, err := r.jobs.Get(mustID(t, story))
	must(t, err)
	if info.Key != "k" {
		t.Error(info)
	}
	call("GET /v1/jobs/{id}", "/v1/jobs/"+story, "", 200)
	call("GET /v1/jobs/{id}", "/v1/jobs/"+unknown, "", 404)
	until(t, "the list has the job", func() bool {
		return strings.Contains(r.do("GET", "/v1/jobs?state=succeeded&tag=b&key=k", "").body, story)
	})
	call("GET /v1/jobs", "/v1/jobs?limit=1&since=1h", "", 200)
	call("GET /v1/jobs", "/v1/jobs?cursor=x", "", 400)
	call("GET /v1/jobs/{id}/result", "/v1/jobs/"+story+"/result", "", 200)
	call("GET /v1/jobs/{id}/result", "/v1/jobs/"+fails+"/result", "", 404)
	call("GET /v1/jobs/{id}/attempts", "/v1/jobs/"+fails+"/attempts", "", 200)
	call("GET /v1/jobs/{id}/attempts", "/v1/jobs/"+unknown+"/attempts", "", 404)
	call("GET /v1/jobs/{id}/logs", "/v1/jobs/"+story+"/logs", "", 200)
	if text := call("GET /v1/jobs/{id}/logs", "/v1/jobs/"+story+"/logs", "", 200, "Accept", "text/plain"); !strings.Contains(text.body, " stdout once upon a time\n") {
		t.Error(text)
	}
	call("GET /v1/jobs/{id}/events", "/v1/jobs/"+story+"/events", "", 200)
	call("GET /v1/jobs/{id}/events", "/v1/jobs/"+story+"/events?after=99", "", 204)
	call("GET /v1/jobs/{id}/events", "/v1/jobs/"+story+"/events?after=x", "", 400)
	if args := call("GET /v1/jobs/{id}/args", "/v1/jobs/"+story+"/args", "", 200); args.body != `{"path":"`+path+`"}` {
		t.Error(args)
	}
	call("GET /v1/jobs/{id}/args", "/v1/jobs/"+unknown+"/args", "", 404)
	call("POST /v1/jobs/{id}/retry", "/v1/jobs/"+fails+"/retry", "", 200)
	call("POST /v1/jobs/{id}/retry", "/v1/jobs/"+unknown+"/retry", "", 404)
	call("POST /v1/jobs/retry", "/v1/jobs/retry?function=fails", "", 200)
	call("POST /v1/jobs/retry", "/v1/jobs/retry?state=running", "", 400)
	many := r.enqueue("/v1/jobs/hold?delay=1h&tags=many", "{}")
	if got := call("POST /v1/jobs/cancel", "/v1/jobs/cancel?tag=many", "", 200); got.body != `{"cancelled":1}` {
		t.Error(got)
	}
	if got := r.do("GET", "/v1/jobs/"+many, ""); got.json(t)["state"] != "cancelled" {
		t.Error(got)
	}
	call("POST /v1/jobs/cancel", "/v1/jobs/cancel", "", 400)
	call("POST /v1/jobs/cancel", "/v1/jobs/cancel?state=dead", "", 400)
	held := r.enqueue("/v1/jobs/hold?delay=1h", "{}")
	call("POST /v1/jobs/{id}/cancel", "/v1/jobs/"+held+"/cancel", "", 200)
	call("POST /v1/jobs/{id}/cancel", "/v1/jobs/"+held+"/cancel", "", 409)
	call("POST /v1/calls/{function}", "/v1/calls/answer", `{"index":1}`, 200)
	call("POST /v1/calls/{function}", "/v1/calls/count", `{"n":1}`, 200)
	call("POST /v1/calls/{function}", "/v1/calls/count", `{"n":1}`, 200, "Accept", "text/event-stream")
	call("POST /v1/calls/{function}", "/v1/calls/noop", `{}`, 409)
	ref := call("PUT /v1/blobs", "/v1/blobs?name=a.txt", "hello", 201, "Content-Type", "text/plain")
	call("PUT /v1/blobs", "/v1/blobs?digest=x", "hello", 400)
	at := "/v1/blobs/" + ref.json(t)["$blob"].(string)
	call("GET /v1/blobs/{digest}", at, "", 200)
	call("GET /v1/blobs/{digest}", at, "", 206, "Range", "bytes=1-2")
	call("GET /v1/blobs/{digest}", at, "", 304, "If-None-Match", ref.header.Get("ETag")+`"`+strings.TrimPrefix(at, "/v1/blobs/")+`"`)
	call("GET /v1/blobs/{digest}", at, "", 416, "Range", "bytes=9-")
	call("HEAD /v1/blobs/{digest}", at, "", 200)
	call("GET /v1/queues", "", "", 200)
	for _, operation := range []string{"POST /v1/queues/{name}/pause", "POST /v1/queues/{name}/resume", "POST /v1/queues/{name}/drain", "GET /v1/queues/{name}"} {
		_, pattern, _ := strings.Cut(operation, " ")
		call(operation, strings.Replace(pattern, "{name}", "default", 1), "", 200)
		call(operation, strings.Replace(pattern, "{name}", "nope", 1), "", 404)
	}
	call("GET /v1/functions", "", "", 200)
	call("GET /v1/functions/{name}", "/v1/functions/send", "", 200)
	if next, _ := call("GET /v1/functions/{name}", "/v1/functions/leap", "", 200).json(t)["next_run"].(string); !strings.HasSuffix(next, "-02-29T00:00:00Z") {
		t.Errorf("the next leap day is %q", next)
	}
	call("GET /v1/functions/{name}", "/v1/functions/nope", "", 404)
	call("GET /v1/pools", "", "", 200)
	call("GET /v1/pools/{name}", "/v1/pools/default", "", 200)
	call("GET /v1/pools/{name}", "/v1/pools/nope", "", 404)
	r.callKeys(call)
	r.callCache(call)
	called["GET /v1/live/tail"] = r.callLive(call)
	called["GET /v1/routes/tail"] = r.callRoutes(call)
	call("GET /metrics", "", "", 200)
	call("GET /openapi.yaml", "", "", 200)
	call("GET /healthz", "", "", 200)
	call("GET /readyz", "", "", 200)
	call("POST /v1/pools/{name}/restart", "/v1/pools/default/restart", "", 200)
	call("POST /v1/pools/{name}/drain", "/v1/pools/default/drain", "", 200)
	for _, operation := range d.operations() {
		if !called[operation] {
			t.Errorf("%s was not called with success", operation)
		}
	}
	described := d.operations()
	r.control.Routes(func(method, pattern string) {
		if !slices.Contains(described, method+" "+pattern) {
			t.Errorf("the document lacks %s %s", method, pattern)
		}
	})
	if got := r.do(http.MethodDelete, "/v1/jobs", ""); got.code(t) != "HR7003" || got.header.Get("Allow") != "GET, POST" {
		t.Error(got, got.header)
	}
	if got := r.do(http.MethodGet, "/v2", ""); got.code(t) != "HR7002" {
		t.Error(got)
	}
}

func mustID(t testing.TB, text string) jobs.ID {
	t.Helper()
	id, err := jobs.ParseID(text)
	must(t, err)
	return id
}

// The schema of a blob in the document is what the engine writes.
func TestBlobReference(t *testing.T) {
	d := readDocument(t)
	schema, err := d.compiler.Compile("file:///openapi.json#/components/schemas/blob")
	must(t, err)
	text, err := json.Marshal(blob.Ref{Digest: blob.Digest("sha256:" + strings.Repeat("a", 64)), Size: 1, Type: "text/plain", Name: "a"})
	must(t, err)
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	must(t, err)
	must(t, schema.Validate(value))
}
