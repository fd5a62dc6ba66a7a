package rig

import (
	"bytes"
	"os"
)

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
