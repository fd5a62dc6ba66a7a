package config_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/problem"
)

// FuzzLoad: any file either loads, and then shows as YAML that loads, or is refused with a problem.
func FuzzLoad(f *testing.F) {
	archives, _ := filepath.Glob("testdata/error/*.txtar")
	for _, path := range archives {
		archive, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(files(string(archive))["headrace.yaml"]))
	}
	f.Add([]byte("app: app.py\nroutes: [{match: /x/*, static: public}]\n"))
	f.Add([]byte("live:\n"))
	f.Add([]byte("live: {channels: , rpc: [a], origins: ['*'], namespaces: {chat: {history: {size: 5, age: 1h}, subscribe: 'true'}}}\n"))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, "headrace.yaml")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := config.Load([]string{path}, nil, nil)
		var p *problem.Error
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("not a problem: %v", err)
		}
		if err != nil {
			return
		}
		out, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Show(out, false), out.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := config.Load([]string{path}, nil, nil); err != nil {
			shown, _ := os.ReadFile(path)
			t.Fatalf("%v\n%s", err, shown)
		}
	})
}

// FuzzFlag: any value of any key outside a file either loads or is refused with a problem.
func FuzzFlag(f *testing.F) {
	f.Add("routes", "[{match: /x, job: y}]")
	f.Add("trace.headers", "{a: b, ? c : d}")
	f.Add("engine", "nats://a:4222")
	f.Add("queues.defaults.rate", "5/10s")
	f.Add("pools.default.env", "{A: &a b, C: *a}")
	f.Add("live.token.public_key_files", "[a.pem]")
	f.Add("live.channels.subscribe", "user == 'a'")
	f.Fuzz(func(t *testing.T, key, value string) {
		_, err := config.Load(nil, nil, map[string]string{"app": "app.py", key: value})
		var p *problem.Error
		if err != nil && !errors.As(err, &p) {
			t.Fatalf("not a problem: %v", err)
		}
	})
}

// FuzzUnits: what parses has a text that parses to the same.
func FuzzUnits(f *testing.F) {
	for _, text := range []string{"5s", "1h30m", "7d", "0s", "64KiB", "1.5GB", "0B", "100/s", "5/10s", "9223372036854775807B", "106751d", ".5MiB", "1d-1h"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d, err := config.ParseDuration(text); err == nil {
			if again, err := config.ParseDuration(config.FormatDuration(d)); err != nil || again != d || d < 0 {
				t.Errorf("duration %q: %v, %v, %v", text, d, again, err)
			}
		}
		if s, err := config.ParseSize(text); err == nil {
			if again, err := config.ParseSize(s.String()); err != nil || again != s || s < 0 {
				t.Errorf("size %q: %v, %v, %v", text, s, again, err)
			}
		}
		if r, err := config.ParseRate(text); err == nil {
			if again, err := config.ParseRate(r.String()); err != nil || again != r || r.N < 0 {
				t.Errorf("rate %q: %v, %v, %v", text, r, again, err)
			}
		}
	})
}

func TestUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0s": 0, "1ns": 1, "5s": 5 * time.Second, "1h30m": 90 * time.Minute, "7d": 168 * time.Hour, "1d12h": 36 * time.Hour, "1.5d": 36 * time.Hour,
		"0": -1, "5": -1, "-5s": -1, "": -1, "d": -1, "s": -1, "5 s": -1, "1d-1h": -1, "106752d": -1,
	} {
		if got, err := config.ParseDuration(text); err == nil && got != want || (err == nil) != (want >= 0) {
			t.Errorf("duration %q: %v, %v", text, got, err)
		}
	}
	for text, want := range map[string]config.Size{
		"0B": 0, "1B": 1, "64KiB": 64 << 10, "1MB": 1e6, "1.5GiB": 3 << 29, "1 MiB": 1 << 20, "9223372036854775807B": math.MaxInt64,
		"0": -1, "5": -1, "-1B": -1, "": -1, "B": -1, "MiB": -1, "5mb": -1, "9223372036854775808B": -1, "8388608TiB": -1, "1e3B": -1,
	} {
		if got, err := config.ParseSize(text); err == nil && got != want || (err == nil) != (want >= 0) {
			t.Errorf("size %q: %v, %v", text, got, err)
		}
	}
}
