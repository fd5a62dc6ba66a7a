package config_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/config"
)

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "headrace.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLayers(t *testing.T) {
	path := write(t, `
app: app.py
engine: nats://a:4222
server: {listen: ":1", max_body: 5GiB}
queues:
  defaults: {rate: 10/m, keep: {dead: {age: 7d}}}
  mail: {concurrency: 2}
pools:
  default: {max: 3, env: {PASS: "${env:PASS}", PORT: 8080}}
`)
	c, err := config.Load([]string{path}, []string{
		"HEADRACE_SERVER_LISTEN=:2", "HEADRACE_QUEUES_DEFAULTS_RETRIES=9", "HEADRACE_POOLS_DEFAULT_MIN=2", "PASS=secret",
		"HEADRACE_ADMIN_SERVICE_HOST=10.0.0.1", "HEADRACE_ADMIN_PORT_8081_TCP_ADDR=10.0.0.1",
	}, map[string]string{"server.listen": ":3"})
	if err != nil {
		t.Fatal(err)
	}
	pool, mail := c.Pools["default"], c.Queue("mail")
	for _, check := range []struct {
		what      string
		got, want any
	}{
		{"flag over environment", c.Server.Listen, ":3"},
		{"origin of a flag", c.Origin("server.listen"), "flag"},
		{"file over default", c.Server.MaxBody, 5 * config.GiB},
		{"origin in a file", c.Origin("server.max_body"), path + ":4:34"},
		{"default", c.Server.IdleTimeout, 2 * time.Minute},
		{"origin of a default", c.Origin("server.idle_timeout"), "default"},
		{"shorthand of the engine", c.Engine.URL, "nats://a:4222"},
		{"shorthand of the app", pool.App, filepath.Join(filepath.Dir(path), "app.py")},
		{"path of a default", c.Engine.Data, filepath.Join(filepath.Dir(path), "headrace-data")},
		{"environment of a pool", pool.Min, 2},
		{"origin of the environment", c.Origin("pools.default.min"), "environment HEADRACE_POOLS_DEFAULT_MIN"},
		{"expanded secret", pool.Env["PASS"], "secret"},
		{"number as text", pool.Env["PORT"], "8080"},
		{"named queue", mail.Concurrency, 2},
		{"inherited from the file", mail.Rate, config.Rate{N: 10, Per: time.Minute}},
		{"inherited from the environment", mail.Retries, 9},
		{"inherited in depth", mail.Keep.Dead.Age, 168 * time.Hour},
		{"other queue", c.Queue("other").Retries, 9},
	} {
		if check.got != check.want {
			t.Errorf("%s: got %v, want %v", check.what, check.got, check.want)
		}
	}
}

func TestDefaultIsValid(t *testing.T) {
	c, err := config.Load(nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Pools) != 0 {
		t.Errorf("pools without configuration: %v", c.Pools)
	}
}

// TestParse reads what was loaded once more, when the file holds something else and is gone then.
func TestParse(t *testing.T) {
	path := write(t, "app: jobs/app.py\nserver: {listen: \":9000\"}\n")
	first, err := config.Load([]string{path}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second, err := config.Parse(first.Texts(), nil, map[string]string{"log.level": "warn"})
	if err != nil {
		t.Fatal(err)
	}
	if second.Server.Listen != ":9000" || second.Log.Level != "warn" || second.App != first.App || second.Engine.Data != first.Engine.Data {
		t.Errorf("%+v", second)
	}
	if _, err := config.Parse([]config.Text{{Path: path, Text: "nothing: 1"}}, nil, nil); err == nil {
		t.Error("it is valid")
	}
}
