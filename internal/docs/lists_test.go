package docs_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sources are the Go files of the program, joined.
func sources(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		text, err := os.ReadFile(path)
		b.Write(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// same compares what a page lists with what there is.
func same(t *testing.T, page string, want, got []string) {
	t.Helper()
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s leaves out %s", page, name)
		}
	}
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s lists %s, which does not exist", page, name)
		}
	}
}

// found returns the first group of each match, sorted, once each.
func found(pattern, text string) []string {
	set := map[string]bool{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		set[m[1]] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func TestMetrics(t *testing.T) {
	text := sources(t)
	want := found(`"(headrace_[a-z]+_[a-z_]+[a-z])"`, text)
	for _, suffix := range found(`prefix ?\+ ?"(_[a-z_]+)"`, text) { // the metrics that each listener has
		want = append(want, "headrace_edge"+suffix, "headrace_control"+suffix)
	}
	for _, name := range found(`= desc\("([a-z_]+)"`, text) { // those of the live plane
		want = append(want, "headrace_live_"+name)
	}
	for _, name := range found(`counter\("([a-z_]+)"`, text) { // those of compression
		want = append(want, "headrace_gateway_"+name)
	}
	const page = "docs/reference/metrics.md"
	same(t, page, want, found("(?m)^\\| `(headrace_[a-z_]+)`", read(t, page)))
}

func TestConditions(t *testing.T) {
	const page = "docs/operate/health.md"
	same(t, page, found(`observe\.Condition\{Code: "([a-z-]+)"`, sources(t)), found("(?m)^## `([a-z-]+)`$", read(t, page)))
}

// TestEnqueueOptions compares with the switch that reads an option.
func TestEnqueueOptions(t *testing.T) {
	text := read(t, "internal/jobs/options.go")
	_, text, _ = strings.Cut(text, "switch name {")
	text, _, _ = strings.Cut(text, "return problem.New(\"HR2004\", \"no option")
	const page = "docs/reference/enqueue.md"
	same(t, page, found(`\tcase "([a-z_]+)":`, text), found("(?m)^\\| `([a-z_]+)` \\|", read(t, page)))
}

// TestDecoratorOptions compares with the signatures of the decorators.
func TestDecoratorOptions(t *testing.T) {
	text := read(t, "sdk/python/src/headrace/_app.py")
	_, text, _ = strings.Cut(text, "def job(")
	text, _, _ = strings.Cut(text, "def _decorator(")
	want := found(`[(\s]([a-z_]+): [A-Za-z]+(?:\[[^=]*\])? \| None = None`, text)
	const page = "docs/reference/decorators.md"
	same(t, page, append(want, "cron"), found("(?m)^\\| `([a-z_]+)` \\|", read(t, page)))
}

// TestDependencies holds the page of the dependencies to what is declared.
func TestDependencies(t *testing.T) {
	var want []string
	for line := range strings.Lines(read(t, "go.mod")) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "\t") && !strings.Contains(line, "// indirect") {
			want = append(want, fields[0])
		}
	}
	project := read(t, "sdk/python/pyproject.toml")
	for _, list := range found(`(?m)^(?:dev|dependencies) = \[(.*)\]$`, project) {
		want = append(want, found(`"([a-z0-9-]+)`, list)...)
	}
	for _, file := range []string{"examples/reports/requirements.txt", "examples/reports/requirements-test.txt", "bench/jobs/apps/requirements.txt"} {
		want = append(want, found(`(?m)^([a-z0-9-]+)`, read(t, file))...)
	}
	for _, file := range []string{"test/browser/package.json", "bench/jobs/apps/package.json"} {
		var declared struct {
			Dependencies    map[string]string `json:"dependencies"`
			DevDependencies map[string]string `json:"devDependencies"`
		}
		if err := json.Unmarshal([]byte(read(t, file)), &declared); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		want = slices.AppendSeq(slices.AppendSeq(want, maps.Keys(declared.Dependencies)), maps.Keys(declared.DevDependencies))
	}
	var data map[string]any
	if err := json.Unmarshal([]byte(read(t, "examples/reports/packages.json")), &data); err != nil {
		t.Fatal(err)
	}
	want = slices.AppendSeq(want, maps.Keys(data))
	slices.Sort(want)
	const page = "docs/design/dependencies.md"
	same(t, page, slices.Compact(want), found("(?m)^\\| `([^`]+)` \\|", read(t, page)))
}

// TestCommands checks what the examples cannot run: targets of make, and the routes of the demo.
func TestCommands(t *testing.T) {
	targets := found(`(?m)^([a-z/]+):`, read(t, "Makefile"))
	demo := read(t, "examples/reports/app.py")
	for _, page := range append(pages(t, "docs"), "README.md", "CONTRIBUTING.md") {
		for _, b := range blocks(read(t, page)) {
			switch {
			case b.is("make"):
				for _, target := range found(`(?m)^make ([a-z/]+)`, b.text) {
					if !slices.Contains(targets, target) {
						t.Errorf("%s:%d: there is no target %s", page, b.line, target)
					}
				}
			case b.is("demo"):
				for _, path := range found(`localhost:8080(/\S+)`, b.text) {
					if !strings.Contains(demo, `route="POST `+path+`"`) {
						t.Errorf("%s:%d: the demo has no route %s", page, b.line, path)
					}
				}
			case len(b.marks) > 0 && b.file() == "" && !b.is("run") && !b.is("run", "fails") && !b.is("serve") && !b.is("expect") && !b.is("expect", "server"):
				t.Errorf("%s:%d: nobody knows the mark %q", page, b.line, b.marks)
			}
		}
	}
}
