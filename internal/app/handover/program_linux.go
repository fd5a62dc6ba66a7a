package handover

import (
	"os"
	"path/filepath"
)

// program is the one that this process runs, whatever is at its place by now: the file lives on while it runs.
func program() (string, error) { return "/proc/self/exe", nil }

// rename gives a process that was started by that path the name that people look for. A failure is no harm.
func rename() { _ = os.WriteFile("/proc/self/comm", []byte(filepath.Base(os.Args[0])), 0) }
