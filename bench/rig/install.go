package rig

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Product is the binary of headrace that is measured: that of the checkout, in which benchmarks run, or what BENCH_HEADRACE names.
func Product() string {
	path := cmp.Or(os.Getenv("BENCH_HEADRACE"), "build/headrace")
	if whole, err := filepath.Abs(path); err == nil {
		return whole
	}
	return path
}

// Build builds the product of the checkout as it is, also where it is there already: its version tells what was measured.
func Build(ctx context.Context) error {
	if os.Getenv("BENCH_HEADRACE") != "" {
		return nil
	}
	return Do(ctx, ".", "make", "--always-make", "--silent", "build")
}

// Do runs a command in dir, with its output where errors go.
func Do(ctx context.Context, dir string, argv ...string) error {
	c := exec.CommandContext(ctx, argv[0], argv[1:]...)
	c.Dir, c.Stdout, c.Stderr = dir, os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("%v: %w", argv, err)
	}
	return nil
}

// Stale is whether two files differ or one is missing.
func Stale(wanted, have string) bool {
	a, errA := os.ReadFile(wanted)
	b, errB := os.ReadFile(have)
	return errA != nil || errB != nil || !bytes.Equal(a, b)
}

// Duplicate copies a file.
func Duplicate(from, to string) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, text, 0o644)
}
