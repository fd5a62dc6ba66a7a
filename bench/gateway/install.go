package main

import (
	"context"
	"os"
	"path/filepath"

	"github.com/headrace/headrace/bench/rig"
)

// scripts are what Node runs; it looks for packages beside them.
var scripts = []string{"fastify.mjs", "express.mjs"}

// install puts the rivals, in the versions pinned in rivals/, below build/bench/gateway, and says why contenders cannot take part. What is there
// already is not installed again. Traefik takes too long to be built here: make bench/gateway/traefik does it.
func install(ctx context.Context, all []*contender) map[*contender]string {
	absent := map[*contender]string{}
	var packages error
	for _, c := range all {
		var err error
		switch c.title {
		case own:
			err = rig.Build(ctx)
		case floor:
			err = rig.Do(ctx, filepath.Dir(rivalsDir), "go", "build", "-trimpath", "-o", filepath.Join(buildDir, "bare"), "./bare")
		case "ReverseProxy":
			err = rig.Do(ctx, filepath.Join(rivalsDir, "reverseproxy"), "go", "build", "-trimpath", "-o", filepath.Join(buildDir, "reverseproxy"), ".")
		case "Fastify", "Express":
			if packages == nil {
				packages = packaged(ctx)
			}
			err = packages
		}
		if err != nil {
			absent[c] = err.Error()
		} else if why := c.missing(); why != "" {
			absent[c] = why
		}
	}
	return absent
}

// packaged installs what the scripts need.
func packaged(ctx context.Context) error {
	for _, name := range append(scripts, "package.json") {
		if err := rig.Duplicate(filepath.Join(rivalsDir, name), filepath.Join(buildDir, name)); err != nil {
			return err
		}
	}
	wanted, have := filepath.Join(rivalsDir, "package-lock.json"), filepath.Join(buildDir, "package-lock.json")
	if _, err := os.Stat(filepath.Join(buildDir, "node_modules/fastify")); err == nil && !rig.Stale(wanted, have) {
		return nil
	}
	if err := rig.Duplicate(wanted, have); err != nil {
		return err
	}
	return rig.Do(ctx, buildDir, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent")
}
