package rig

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Hardware says in Markdown what the figures were measured on; the disk is that of the folder.
func Hardware(folder string) string {
	var b strings.Builder
	var name unix.Utsname
	_ = unix.Uname(&name)
	model := "unknown processor"
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			model = strings.TrimSpace(value)
			break
		}
	}
	fmt.Fprintf(&b, "- %d cores (%s), %d GB, Linux %s\n", runtime.NumCPU(), model, Field("/proc/meminfo", "MemTotal:")>>30, unix.ByteSliceToString(name.Release[:]))
	fmt.Fprintf(&b, "- append of 4 KB with fdatasync on the disk used: p50 %v\n", syncTime(folder))
	return b.String()
}

// syncTime is how long the disk takes: it bounds what may be acknowledged one after another.
func syncTime(folder string) time.Duration {
	file, err := os.CreateTemp(folder, "sync-")
	if err != nil {
		return 0
	}
	defer os.Remove(file.Name())
	defer file.Close()
	var times []time.Duration
	for range 101 {
		begun := time.Now()
		_, _ = file.Write(make([]byte, 4096))
		_ = syscall.Fdatasync(int(file.Fd()))
		times = append(times, time.Since(begun))
	}
	slices.Sort(times)
	return times[50].Round(time.Microsecond)
}

// OtherLoad says how busy the machine was before the first contender: figures from a machine that was not idle are worse.
func OtherLoad() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("- Load average of the minute before: %s. An idle machine has about 0; with others at work all figures are worse than they could be.\n", one)
}
