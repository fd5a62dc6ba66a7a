package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestLocate asks the server of a configuration that cannot be read as a whole, and never another one.
func TestLocate(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"code":"HR9003","title":"x","detail":"what the server says"}`))
	}))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	for name, c := range map[string]struct {
		text    string
		args    []string
		environ []string
		code    int
		stderr  string
	}{
		"broken elsewhere":      {"admin: {listen: \"" + address + "\", token_file: token}\nroutes: [{match: nowhere}]\n", nil, nil, ExitUsage, "what the server says"},
		"a key that is unknown": {"admin: {listen: \"" + address + "\", token_file: token}\nnope: 1\n", nil, nil, ExitUsage, "what the server says"},
		"by the environment":    {"admin: {token_file: token}\nnope: 1\n", nil, []string{"HEADRACE_ADMIN_LISTEN=" + address}, ExitUsage, "what the server says"},
		"by a flag":             {"admin: {listen: \"127.0.0.1:1\", token_file: token}\nnope: 1\n", []string{"--set", "admin.listen=" + address}, nil, ExitUsage, "what the server says"},
		"no YAML":               {"admin: {listen: \"" + address + "\"\n", nil, nil, ExitUsage, "error[HR9001]: malformed YAML"},
		"a broken address":      {"admin: {listen: 7}\n", nil, nil, ExitUsage, "error[HR9003]: admin.listen"},
		"a file that is not":    {"", []string{"--config", "nowhere.yaml"}, nil, ExitUsage, "error[HR9001]: open"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{defaultConfig: c.text, "token": "secret\n"} {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			var out, talk bytes.Buffer
			code := Main(t.Context(), Env{Args: append([]string{"config", "reload"}, c.args...), Stdin: strings.NewReader(""), Stdout: &out, Stderr: &talk, Dir: dir, Environ: c.environ, Version: "test"})
			if code != c.code || !strings.Contains(talk.String(), c.stderr) {
				t.Errorf("code %d: %s", code, &talk)
			}
			if hinted := strings.Contains(talk.String(), "; or name the server with --server"); hinted == strings.Contains(c.stderr, "server says") {
				t.Errorf("hint: %s", &talk)
			}
		})
	}
}
