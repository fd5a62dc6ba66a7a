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
	for _, tool := range [][]string{{filepath.Join(buildDir, "../../headrace"), "version"}, {"go", "version"}, {"node", "--version"}} {
		if out, err := exec.Command(tool[0], tool[1:]...).Output(); err == nil {
			line, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
			fmt.Fprintf(&b, "- %s: %s\n", filepath.Base(tool[0]), line)
		}
	}
	var pins []string
	text, _ = os.ReadFile(filepath.Join(rivalsDir, "package.json"))
	_, packages, _ := strings.Cut(string(text), `"dependencies": {`)
	for line := range strings.Lines(packages) {
		if pin := strings.Fields(strings.NewReplacer(`"`, "", ",", "", ":", "").Replace(line)); len(pin) == 2 {
			pins = append(pins, strings.Join(pin, " "))
		}
	}
	text, _ = os.ReadFile(filepath.Join(rivalsDir, "centrifuge/go.mod"))
	for line := range strings.Lines(string(text)) {
		if pin := strings.Fields(line); len(pin) == 2 && strings.HasPrefix(pin[1], "v") {
			pins = append(pins, strings.Join(pin, " "))
		}
	}
	fmt.Fprintf(&b, "- %s\n", strings.Join(pins, ", "))
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

// otherLoad says how busy the machine was before the first contender: figures from a machine that was not idle are worse.
func otherLoad() string {
	text, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(text), " ")
	return fmt.Sprintf("- Load average of the minute before: %s. An idle machine has about 0; with others at work all figures are worse than they could be.\n", one)
}
