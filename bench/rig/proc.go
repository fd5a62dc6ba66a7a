package rig

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// Resident is the resident size of a process in bytes.
func Resident(pid int) int { return Field(fmt.Sprintf("/proc/%d/status", pid), "VmRSS:") }

// Field reads a line "Name: 12 kB" of a file in /proc as bytes.
func Field(path, name string) int {
	text, _ := os.ReadFile(path)
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == name {
			kilobytes, _ := strconv.Atoi(words[1])
			return kilobytes << 10
		}
	}
	return 0
}
