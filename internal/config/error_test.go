package config_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// TestErrors loads the headrace.yaml, env and flags of each archive and compares the text that a user would read.
func TestErrors(t *testing.T) {
	archives, err := filepath.Glob("testdata/error/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal(archives, err)
	}
	for _, path := range archives {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txtar"), func(t *testing.T) {
			archive, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			parts := files(string(archive))
			file := filepath.Join(t.TempDir(), "headrace.yaml")
			if err := os.WriteFile(file, []byte(parts["headrace.yaml"]), 0o600); err != nil {
				t.Fatal(err)
			}
			flags := map[string]string{}
			for _, line := range strings.Split(strings.TrimSpace(parts["flags"]), "\n") {
				if key, value, ok := strings.Cut(line, "="); ok {
					flags[key] = value
				}
			}
			_, err = config.Load([]string{file}, strings.Split(strings.TrimSpace(parts["env"]), "\n"), flags)
			var p *problem.Error
			if !errors.As(err, &p) {
				t.Fatalf("not a problem: %v", err)
			}
			got := strings.ReplaceAll(p.Text(), filepath.Dir(file)+string(filepath.Separator), "")
			if *update {
				input, _, _ := strings.Cut(string(archive), "-- error --\n")
				if err := os.WriteFile(path, []byte(input+"-- error --\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if want := parts["error"]; got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// files splits a txtar archive.
func files(archive string) map[string]string {
	parts, name := map[string]string{}, ""
	for line := range strings.Lines(archive) {
		if inner, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(inner, " --\n") {
			name = strings.TrimSuffix(inner, " --\n")
			continue
		}
		parts[name] += line
	}
	return parts
}

func TestFileThatIsNotThere(t *testing.T) {
	_, err := config.Load([]string{filepath.Join(t.TempDir(), "none.yaml")}, nil, nil)
	if p := problem.From(err); p.Code != "HR9001" {
		t.Errorf("got %v", err)
	}
}
