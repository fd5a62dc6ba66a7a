package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Folders of the checkout, absolute; set by main.
var buildDir, rivalsDir string

// install puts the rivals, in the versions pinned in rivals/, below build/bench/live. What is there already is not installed again.
func install(ctx context.Context) error {
	wanted, have := filepath.Join(rivalsDir, "package.json"), filepath.Join(buildDir, "package.json")
	if _, err := os.Stat(filepath.Join(buildDir, "node_modules/ws")); err != nil || stale(wanted, have) {
		if err := duplicate(wanted, have); err != nil {
			return err
		}
		if err := do(ctx, buildDir, "npm", "install", "--no-audit", "--no-fund", "--silent"); err != nil {
			return err
		}
	}
	for _, script := range []string{"ws.mjs", "socketio.mjs"} { // Node looks for packages beside the script
		if err := duplicate(filepath.Join(rivalsDir, script), filepath.Join(buildDir, script)); err != nil {
			return err
		}
	}
	return do(ctx, filepath.Join(rivalsDir, "centrifuge"), "go", "build", "-trimpath", "-o", filepath.Join(buildDir, "centrifuge"), ".")
}

func do(ctx context.Context, dir string, argv ...string) error {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Dir, c.Stdout, c.Stderr = dir, os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%v: %w", argv, err)
	}
	return nil
}

// stale is whether two files differ or one is missing.
func stale(wanted, have string) bool {
	a, errA := os.ReadFile(wanted)
	b, errB := os.ReadFile(have)
	return errA != nil || errB != nil || !bytes.Equal(a, b)
}

func duplicate(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
