package live

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCent runs the published client of Centrifugo's server API against an admin listener with a token.
func TestCent(t *testing.T) {
	const key = "an admin token of the tests"
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(key), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, defaults, "HEADRACE_ADMIN_TOKEN_FILE="+file)
	t.Setenv("LIVE_API", "http://"+s.admin+"/api")
	t.Setenv("LIVE_KEY", key)
	script(t, s, "../../build/live-venv/bin/python", "api_test.py")
}
