package rig

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
)

// Product builds build/headrace from the checkout as it is, also where it is there already: its version tells what was measured.
func Product(ctx context.Context) error {
	c := exec.CommandContext(ctx, "make", "--always-make", "--silent", "build")
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return fmt.Errorf("make build: %w", err)
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
