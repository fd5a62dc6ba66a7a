package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// machine says in Markdown what the figures were measured on.
func machine() string {
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
	fmt.Fprintf(&b, "- %d cores (%s), %d GB, Linux %s\n", runtime.NumCPU(), model, field("/proc/meminfo", "MemTotal:")>>30, unix.ByteSliceToString(name.Release[:]))
	fmt.Fprintf(&b, "- append of 4 KB with fdatasync on the disk used: p50 %v\n", syncTime())
	for _, tool := range [][]string{
		{filepath.Join(buildDir, "../headrace"), "version"}, {"go", "version"}, {filepath.Join(buildDir, "venv/bin/python"), "--version"},
		{"node", "--version"}, {"redis-server", "--version"},
	} {
		if out, err := exec.Command(tool[0], tool[1:]...).Output(); err == nil {
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			fmt.Fprintf(&b, "- %s: %s\n", filepath.Base(tool[0]), line)
		}
	}
	for _, file := range []string{"requirements.txt", "package.json"} {
		text, _ := os.ReadFile(filepath.Join(appsDir, file))
		var pins []string
		for word := range strings.FieldsSeq(strings.NewReplacer(`": "`, "==", `"`, "", ",", "").Replace(string(text))) {
			if strings.Contains(word, "==") && !strings.HasPrefix(word, "name") && !strings.HasPrefix(word, "type") {
				pins = append(pins, word)
			}
		}
		fmt.Fprintf(&b, "- %s\n", strings.Join(pins, ", "))
	}
	return b.String()
}

// syncTime is how long the disk takes: it bounds what may be acknowledged one after another.
func syncTime() time.Duration {
	file, err := os.CreateTemp(buildDir, "sync-")
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

// otherLoad says how busy the machine was before the first contender: figures from a machine that was not idle are low.
func otherLoad() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("- Load average of the minute before: %s. An idle machine has about 0; with others at work all figures are worse than they could be.\n", one)
}
