package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/headrace/headrace/bench/rig"
)

// Folders of the checkout, absolute; set by main.
var buildDir, appsDir string

// install puts the rivals, in the versions pinned in apps/, below build/bench. What is there already is not installed again,
// but headrace is built again.
func install(ctx context.Context) error {
	if err := rig.Build(ctx); err != nil {
		return err
	}
	if _, err := exec.LookPath("redis-server"); err != nil {
		if err := command(ctx, ".", "apt-get", "install", "-y", "--no-install-recommends", "redis-server"); err != nil {
			return fmt.Errorf("redis-server is not installed, and: %w", err)
		}
	}
	venv, node := filepath.Join(buildDir, "venv"), filepath.Join(buildDir, "node")
	requirements := filepath.Join(appsDir, "requirements.txt")
	if rig.Stale(requirements, filepath.Join(venv, "requirements.txt")) {
		if err := command(ctx, ".", "python3", "-m", "venv", venv); err != nil {
			return err
		}
		if err := command(ctx, ".", filepath.Join(venv, "bin/pip"), "install", "-q", "--disable-pip-version-check", "-r", requirements); err != nil {
			return err
		}
		if err := rig.Duplicate(requirements, filepath.Join(venv, "requirements.txt")); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(node, 0o755); err != nil {
		return err
	}
	installed := filepath.Join(node, "package.json")
	if _, err := os.Stat(filepath.Join(node, "node_modules/bullmq")); err != nil || rig.Stale(filepath.Join(appsDir, "package.json"), installed) {
		if err := rig.Duplicate(filepath.Join(appsDir, "package.json"), installed); err != nil {
			return err
		}
		if err := command(ctx, node, "npm", "install", "--no-audit", "--no-fund", "--silent"); err != nil {
			return err
		}
	}
	for _, script := range []string{"bullmq_worker.mjs", "bullmq_door.mjs"} { // Node looks for packages beside the script
		if err := rig.Duplicate(filepath.Join(appsDir, script), filepath.Join(node, script)); err != nil {
			return err
		}
	}
	return nil
}

func command(ctx context.Context, dir string, argv ...string) error {
	fmt.Fprintln(os.Stderr, "$", argv)
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Dir, c.Stdout, c.Stderr = dir, os.Stderr, os.Stderr
	c.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if err := c.Run(); err != nil {
		return fmt.Errorf("%v: %w", argv, err)
	}
	return nil
}
