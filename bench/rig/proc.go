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

// Use begins to watch the processors of the machine; what it returns tells which share of their time was used since, 0 to 1.
func Use() func() float64 {
	busy, all := processors()
	return func() float64 {
		b, a := processors()
		return float64(b-busy) / float64(max(a-all, 1))
	}
}

// processors is the time that was used, and all time, in ticks of the system.
func processors() (busy, all int) {
	text, _ := os.ReadFile("/proc/stat")
	first, _, _ := strings.Cut(string(text), "\n")
	for i, word := range strings.Fields(first) {
		const idle, waiting, guest = 4, 5, 9 // the name is the first; guests are counted in others
		ticks, _ := strconv.Atoi(word)
		if i == 0 || i >= guest {
			continue
		}
		all += ticks
		if i != idle && i != waiting {
			busy += ticks
		}
	}
	return busy, all
}
