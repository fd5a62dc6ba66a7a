package config

import (
	"os"
	"path/filepath"
	"testing"
)

// A colon without a space after it is a part of the text, wherever a list stands.
func TestColonInList(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headrace.yaml")
	text := "upstreams:\n  api: {targets: [http://127.0.0.1:9911, {url: http://a:1, weight: 2}, \"http://b:2\", unix:/x/y]}\nlive:\n  origins: [localhost:5173]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load([]string{file}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, target := range c.Upstreams["api"].Targets {
		got = append(got, target.URL)
	}
	want := []string{"http://127.0.0.1:9911", "http://a:1", "http://b:2", "unix:/x/y"}
	for i := range want {
		if i >= len(got) || got[i] != want[i] {
			t.Fatalf("%q, want %q", got, want)
		}
	}
	if c.Live.Origins[0] != "localhost:5173" {
		t.Error(c.Live.Origins)
	}
}

// A service runs in the folder of the file that names it.
func TestDirectoryOfRun(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "headrace.yaml")
	text := "upstreams:\n  a: {run: node server.js}\n  b: {run: node server.js, directory: sub}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load([]string{file}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if c.Upstreams["a"].Directory != folder || c.Upstreams["b"].Directory != filepath.Join(folder, "sub") {
		t.Error(c.Upstreams["a"].Directory, c.Upstreams["b"].Directory)
	}
}
