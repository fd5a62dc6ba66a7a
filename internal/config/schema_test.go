package config_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/headrace/headrace/internal/config"
)

var update = flag.Bool("update", false, "write generated files and golden texts")

const schemaFile = "../../spec/config.schema.json"

func TestSchemaIsUpToDate(t *testing.T) {
	if *update {
		if err := os.WriteFile(schemaFile, config.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file, config.Schema()) {
		t.Error("spec/config.schema.json is stale; run: go test ./internal/config -run Schema -update")
	}
}

// TestSchemaAgrees holds the schema against the same texts as the parser: what Load takes fits, what it refuses as a single
// key does not.
func TestSchemaAgrees(t *testing.T) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(config.Schema()))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(config.SchemaID, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(config.SchemaID)
	if err != nil {
		t.Fatal(err)
	}
	var defaults bytes.Buffer
	if err := config.Default().Show(&defaults, false); err != nil {
		t.Fatal(err)
	}
	for text, fits := range map[string]bool{
		defaults.String():                       true,
		"engine: nats://a:4222":                 true,
		"engine: {url: nats://a:4222}":          true,
		"pools: {default: }":                    true,
		"server: {max_body: 1.5GiB}":            true,
		"server: {max_body: 5}":                 false,
		"server: {idle_timeout: 1h30m}":         true,
		"server: {idle_timeout: 90}":            false,
		"server: {lisen: ':1'}":                 false,
		"queues: {mail: {rate: 5/10s}}":         true,
		"queues: {mail: {rate: fast}}":          false,
		"queues: {Mail: {}}":                    false,
		"log: {level: warn}":                    true,
		"log: {level: loud}":                    false,
		"engine: {replicas: 9}":                 false,
		"trace: {sample: 0.5}":                  true,
		"routes: [{match: /x, job: y}]":         true,
		"routes: [{job: y}]":                    false,
		"pools: {default: {env: {PORT: 8080}}}": true,
		"pools: {default: {env: {A: [1]}}}":     false,
		"live:":                                 true,
		"live: {channels: }":                    true,
		"live: {ping: 5}":                       false,
		"live: {namespaces: {chat: {slow: resync, history: {size: 5, age: 1h}}}}": true,
		"live: {namespaces: {chat: {slow: never}}}":                               false,
		"live: {namespaces: {Chat: }}":                                            false,
	} {
		var value any
		if err := yaml.Unmarshal([]byte(text), &value); err != nil {
			t.Fatal(err)
		}
		// by way of JSON, so that the validator sees the types it knows
		data, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		instance, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(instance); (err == nil) != fits {
			t.Errorf("%s: fits the schema: %v, want %v (%v)", text, err == nil, fits, err)
		}
	}
}

func TestEveryFieldIsDocumented(t *testing.T) {
	reference := config.Reference()
	for _, f := range config.Fields() {
		if f.Doc == "" {
			t.Errorf("%s has no comment", f.Path)
		}
		if !strings.Contains(reference, "`"+f.Path+"`") {
			t.Errorf("%s is not in the reference", f.Path)
		}
	}
}

func TestShowReadsBack(t *testing.T) {
	path := write(t, "app: app.py\nroutes: [{match: /x, methods: [PUT], job: \"yes\"}]\nqueues: {mail: {rate: 5/10s}}\nengine: nats://u:p@a:4222\n")
	first, err := config.Load([]string{path}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var shown, again, origins bytes.Buffer
	if err := first.Show(&shown, false); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(shown.String(), "u:p@") {
		t.Errorf("the password is shown:\n%s", &shown)
	}
	copied := filepath.Join(filepath.Dir(path), "copy.yaml")
	if err := os.WriteFile(copied, shown.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	second, err := config.Load([]string{copied}, nil, nil)
	if err != nil {
		t.Fatalf("%v\n%s", err, &shown)
	}
	if err := second.Show(&again, false); err != nil {
		t.Fatal(err)
	}
	if shown.String() != again.String() {
		t.Errorf("first:\n%s\nagain:\n%s", &shown, &again)
	}
	if err := first.Show(&origins, true); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# " + path + ":1:6\n", "# default\n", "# " + path + ":3:23\n"} {
		if !strings.Contains(origins.String(), want) {
			t.Errorf("no %q in:\n%s", want, &origins)
		}
	}
}
