package main

import (
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"headrace": main})
}

// TestScripts runs the scripts of test/script with this program as the command headrace.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "../../test/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"serve": serve, "handover": handover, "succession": succession, "handback": handback, "handlost": handlost},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HEADRACE_SERVER", "http://127.0.0.1:1") // nobody listens there
			env.Setenv("GORACE", "atexit_sleep_ms=50")          // the race detector would hold every command for a second in its end
			sdk, err := filepath.Abs("../../sdk/python/src")
			env.Setenv("PYTHONPATH", sdk)
			return err
		},
	})
}
