package config_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/headrace/headrace/internal/config"
)

func TestSecrets(t *testing.T) {
	path := write(t, `
app: app.py
engine: nats://user:${env:PASS}@a:4222,nats://b:4222
pools: {default: {env: {FROM_FILE: file:token, FROM_ENV: "x-${env:PASS}", PLAIN: open}}}
trace: {otlp: "file:collector", headers: {Api-Key: file:token}}
log: {level: "${env:LEVEL}"}
`)
	folder := filepath.Dir(path)
	for name, text := range map[string]string{"token": "t0ken\n", "collector": "http://u:p4ss@c:4318\r\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := config.Load([]string{path}, []string{"PASS=s3cret", "LEVEL=warn"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	env := c.Pools["default"].Env
	for got, want := range map[string]string{
		env["FROM_FILE"]:           "t0ken",
		env["FROM_ENV"]:            "x-s3cret",
		env["PLAIN"]:               "open",
		c.Trace.Headers["Api-Key"]: "t0ken",
		c.Trace.OTLP:               "http://u:p4ss@c:4318",
		c.Engine.URL:               "nats://user:s3cret@a:4222,nats://b:4222",
		c.Log.Level:                "warn",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	var shown bytes.Buffer
	if err := c.Show(&shown, true); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"t0ken", "s3cret", "p4ss"} {
		if strings.Contains(shown.String(), secret) {
			t.Errorf("%s is shown:\n%s", secret, &shown)
		}
	}
}

// A value that is wrong must not tell a secret in its error either.
func TestErrorsHideSecrets(t *testing.T) {
	path := write(t, "engine: 'http://user:${env:PASS}@a'\n")
	_, err := config.Load([]string{path}, []string{"PASS=s3cret"}, nil)
	if err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
}

func TestEnvironmentExpandsNothing(t *testing.T) {
	c, err := config.Load(nil, []string{"HEADRACE_APP=${env:HOME}.py"}, nil)
	if err != nil || c.Pools["default"].App != "${env:HOME}.py" {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestPlacesOfLayers(t *testing.T) {
	folder := filepath.Dir(write(t, ""))
	for name, text := range map[string]string{
		"a.yaml": "app: a.py\nserver: {listen: ':1'}\nroutes: [{match: /a, job: a}]\n",
		"b.yaml": "server: {listen: ':2'}\nroutes: [{match: /b, job: b}]\npools: {web: {app: web.py}}\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a, b := filepath.Join(folder, "a.yaml"), filepath.Join(folder, "b.yaml")
	c, err := config.Load([]string{a, b}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Pools) != 2 || len(c.Routes) != 1 || c.Routes[0].Match != "/b" || c.Server.Listen != ":2" {
		t.Errorf("mappings are merged and lists replaced: %+v", c)
	}
	for key, want := range map[string]string{
		"server.listen": b + ":1:18", "pools.default.app": a + ":1:6", "pools.web.app": b + ":3:20", "routes[0].match": b + ":2:18", "node": "default",
	} {
		if got := c.Origin(key); got != want {
			t.Errorf("%s comes from %s, want %s", key, got, want)
		}
	}
}
