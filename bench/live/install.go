package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/headrace/headrace/bench/rig"
)

// Folders of the checkout, absolute; set by main.
var buildDir, rivalsDir string

// install puts the rivals, in the versions pinned in rivals/, below build/bench/live. What is there already is not installed again,
// but headrace is built again.
func install(ctx context.Context) error {
	if err := rig.Build(ctx); err != nil {
		return err
	}
	wanted, have := filepath.Join(rivalsDir, "package.json"), filepath.Join(buildDir, "package.json")
	if _, err := os.Stat(filepath.Join(buildDir, "node_modules/ws")); err != nil || rig.Stale(wanted, have) {
		if err := rig.Duplicate(wanted, have); err != nil {
			return err
		}
		if err := rig.Do(ctx, buildDir, "npm", "install", "--no-audit", "--no-fund", "--silent"); err != nil {
			return err
		}
	}
	for _, script := range []string{"ws.mjs", "socketio.mjs"} { // Node looks for packages beside the script
		if err := rig.Duplicate(filepath.Join(rivalsDir, script), filepath.Join(buildDir, script)); err != nil {
			return err
		}
	}
	if err := rig.Do(ctx, filepath.Dir(rivalsDir), "go", "build", "-trimpath", "-o", filepath.Join(buildDir, "bare"), "./bare"); err != nil {
		return err
	}
	return rig.Do(ctx, filepath.Join(rivalsDir, "centrifuge"), "go", "build", "-trimpath", "-o", filepath.Join(buildDir, "centrifuge"), ".")
}
