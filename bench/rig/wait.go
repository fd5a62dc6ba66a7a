// Package rig is what the benchmarks share: waiting, processes, /proc, addresses, rivals that are installed, the machine, and numbers in tables.
package rig

import (
	"context"
	"fmt"
	"time"
)

// Poll calls ready until it is true, at most for limit.
func Poll(ctx context.Context, limit, every time.Duration, what string, ready func() (bool, error)) error {
	deadline := time.Now().Add(limit)
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		if ok, err := ready(); ok || err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not %s after %v", what, limit)
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
