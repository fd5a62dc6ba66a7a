package openapi

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/functions"
	"github.com/headrace/headrace/internal/problem"
)

// function describes a route that leads to a function: arguments in the path, and the others in the query of methods without a body, or in the
// body.
func (w *writer) function(r *exchange.Published, path string, names, verbs []string) error {
	fn := r.Function
	args, err := w.schema(fn, "args", fn.Args)
	if err != nil {
		return err
	}
	result, err := w.schema(fn, "result", fn.Result)
	if err != nil {
		return err
	}
	properties, _ := args["properties"].(map[string]any)
	required, _ := args["required"].([]any)
	needs := func(name string) bool { return slices.Contains(required, any(name)) }
	w.jobs = w.jobs || r.Job
	for _, verb := range verbs {
		w.operation(r, path, verb, func() map[string]any {
			o := map[string]any{"operationId": w.id(fn.Name), "responses": w.functionAnswers(r, result)}
			summary, description, _ := strings.Cut(strings.TrimSpace(fn.Doc), "\n")
			o["summary"] = either(summary, fn.Name)
			if description = strings.TrimSpace(description); description != "" {
				o["description"] = description
			}
			parameters := []any{}
			for _, name := range names {
				parameters = append(parameters, map[string]any{"name": name, "in": "path", "required": true, "schema": schemaOf(properties, name)})
			}
			if r.Job {
				parameters = append(parameters, map[string]any{
					"name": "Idempotency-Key", "in": "header", "schema": map[string]any{"type": "string"}, "description": "The same key enqueues the job once.",
				})
			}
			if verb == "GET" || verb == "HEAD" || verb == "DELETE" {
				for _, name := range sortedKeys(properties) {
					if !slices.Contains(names, name) {
						parameters = append(parameters, map[string]any{"name": name, "in": "query", "required": needs(name), "schema": schemaOf(properties, name)})
					}
				}
			} else {
				o["requestBody"] = w.functionBody(fn, args, names)
			}
			if len(parameters) > 0 {
				o["parameters"] = parameters
			}
			return o
		})
	}
	return nil
}

func schemaOf(properties map[string]any, name string) any {
	if s, ok := properties[name]; ok {
		return s
	}
	return map[string]any{"type": "string"}
}

// functionBody is what is left of the arguments when those of the path are gone.
func (w *writer) functionBody(fn *functions.Function, args map[string]any, names []string) map[string]any {
	rest := map[string]any{}
	for key, value := range args {
		rest[key] = value
	}
	properties, _ := args["properties"].(map[string]any)
	below := map[string]any{}
	for name, value := range properties {
		if !slices.Contains(names, name) {
			below[name] = value
		}
	}
	needed := []any{}
	required, _ := args["required"].([]any)
	for _, name := range required {
		if text, _ := name.(string); !slices.Contains(names, text) {
			needed = append(needed, name)
		}
	}
	rest["properties"] = below
	if delete(rest, "required"); len(needed) > 0 {
		rest["required"] = needed
	}
	content := map[string]any{"application/json": map[string]any{"schema": rest}}
	if len(fn.Blobs) > 0 {
		form := map[string]any{}
		for name, value := range below {
			if form[name] = value; fn.TakesBlob(name) {
				form[name] = map[string]any{"description": "A file.", "contentMediaType": "application/octet-stream"}
			}
		}
		content["multipart/form-data"] = map[string]any{"schema": map[string]any{"type": "object", "properties": form, "required": needed}}
	}
	return map[string]any{"required": len(needed) > 0, "content": content}
}

func (w *writer) functionAnswers(r *exchange.Published, result map[string]any) map[string]any {
	if r.Job {
		return map[string]any{"202": map[string]any{
			"description": "The job is stored; the links follow it.", "content": map[string]any{"application/json": map[string]any{"schema": reference("schemas", "accepted")}},
			"headers": map[string]any{"Location": map[string]any{"schema": map[string]any{"type": "string"}}},
		}}
	}
	content := map[string]any{"application/json": map[string]any{"schema": result}}
	if r.Function.Stream {
		content = map[string]any{
			"text/event-stream":    map[string]any{"schema": map[string]any{"type": "string"}},
			"application/x-ndjson": map[string]any{"schema": map[string]any{"type": "string", "description": "One JSON document a line."}},
		}
	}
	return map[string]any{"200": map[string]any{"description": "What the function returns.", "content": content}}
}

// schema takes a schema of a function over. Its definitions become components, since # means the whole document here.
func (w *writer) schema(fn *functions.Function, what string, text []byte) (map[string]any, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return map[string]any{}, nil
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, problem.New("HR4095", "schema of function %s: %w", fn.Name, err)
	}
	top, ok := v.(map[string]any)
	if !ok {
		return map[string]any{}, nil // true, or null: anything
	}
	prefix := slug(fn.Name) + "." + what
	whole := false
	var move func(v any) any
	move = func(v any) any {
		switch v := v.(type) {
		case []any:
			for i := range v {
				v[i] = move(v[i])
			}
		case map[string]any:
			for key, value := range v {
				if ref, ok := value.(string); ok && key == "$ref" {
					name, rest, _ := strings.Cut(strings.TrimPrefix(ref, "#/$defs/"), "/")
					switch {
					case strings.HasPrefix(ref, "#/$defs/"):
						if v[key] = "#/components/schemas/" + prefix + "." + slug(name); rest != "" {
							v[key] = fmt.Sprint(v[key], "/", rest)
						}
					case strings.HasPrefix(ref, "#"):
						v[key] = "#/components/schemas/" + prefix + strings.TrimPrefix(ref, "#")
						whole = true
					}
					continue
				}
				v[key] = move(value)
			}
		}
		return v
	}
	move(top)
	definitions, _ := top["$defs"].(map[string]any)
	for name, definition := range definitions {
		w.component("schemas", prefix+"."+slug(name), definition)
	}
	delete(top, "$defs")
	delete(top, "$schema")
	delete(top, "$id")
	if whole {
		w.component("schemas", prefix, top)
	}
	return top, nil
}

// follow describes the pages of a job.
func (w *writer) follow() {
	text := map[string]any{"type": "string"}
	w.component("schemas", "accepted", map[string]any{
		"type": "object", "required": []any{"id", "state", "durability", "follow", "links"},
		"properties": map[string]any{
			"id": text, "state": text, "durability": map[string]any{"enum": []any{"fsync", "written", "replicated", "external"}}, "duplicate": map[string]any{"const": true},
			"follow": map[string]any{"type": "string", "description": "Address of the events of the job."}, "links": map[string]any{"type": "object", "additionalProperties": text},
		},
	})
	w.tags = append(w.tags, map[string]any{"name": "jobs", "description": "Following a job. The links of the answer that accepted it hold the token."})
	w.ids["job"] = true
	for _, page := range []struct{ method, path, id, summary, media string }{
		{"get", "/jobs/{id}", "job", "The job as it stands", "application/json"},
		{"get", "/jobs/{id}/events", "job_events", "What happens, as server-sent events", "text/event-stream"},
		{"get", "/jobs/{id}/result", "job_result", "The result, once there is one", "application/json"},
		{"post", "/jobs/{id}/cancel", "job_cancel", "Cancel the job", "application/json"},
	} {
		if w.paths[page.path] == nil {
			w.paths[page.path] = map[string]any{}
		}
		item := w.paths[page.path].(map[string]any)
		if item[page.method] != nil {
			continue
		}
		item[page.method] = map[string]any{
			"operationId": w.id(page.id + "_"), "summary": page.summary, "tags": []any{"jobs"}, "parameters": []any{
				map[string]any{"name": "id", "in": "path", "required": true, "schema": text}, map[string]any{"name": "token", "in": "query", "required": true, "schema": text},
			},
			"responses": map[string]any{
				"200": map[string]any{"description": page.summary + ".", "content": map[string]any{page.media: map[string]any{"schema": map[string]any{}}}}, "default": reference("responses", "problem"),
			},
		}
	}
}
