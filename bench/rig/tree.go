package rig

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// stat returns the fields of /proc/PID/stat after the name, which may itself hold spaces; nil if there is no such process.
func stat(pid int) []string {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	end := bytes.LastIndexByte(text, ')')
	if err != nil || end < 0 {
		return nil
	}
	return strings.Fields(string(text[end+1:]))
}

// Tree lists root and all processes below it; a process that left its parent is not found.
func Tree(root int) []int {
	parents := map[int][]int{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if fields := stat(pid); len(fields) > 1 {
				parent, _ := strconv.Atoi(fields[1])
				parents[parent] = append(parents[parent], pid)
			}
		}
	}
	all := []int{root}
	for i := 0; i < len(all); i++ {
		all = append(all, parents[all[i]]...)
	}
	return all
}

// CPU is the user and system time of the tree below root, with the time of children that ended and were waited for.
func CPU(root int) time.Duration {
	var ticks int
	for _, pid := range Tree(root) {
		if fields := stat(pid); len(fields) > 14 {
			for _, field := range fields[11:15] { // utime stime cutime cstime
				n, _ := strconv.Atoi(field)
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * (time.Second / 100) // USER_HZ is 100 on every Linux that Go runs on
}

// Memory is the resident and the proportional set size of the tree below root in bytes. The latter counts pages that processes share once.
func Memory(root int) (resident, proportional int) {
	for _, pid := range Tree(root) {
		resident += Resident(pid)
		proportional += Field(fmt.Sprintf("/proc/%d/smaps_rollup", pid), "Pss:")
	}
	return resident, proportional
}

// Growth begins to watch the resident sizes of the tree below root. The result is by how many bytes the processes have grown at most since, each
// for itself, added.
func Growth(root int) (func() int, error) {
	before := map[int]int{}
	for _, pid := range Tree(root) {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil { // forget the peak
			return nil, err
		}
		before[pid] = Resident(pid)
	}
	return func() (bytes int) {
		for pid, was := range before {
			bytes += max(Field(fmt.Sprintf("/proc/%d/status", pid), "VmHWM:")-was, 0)
		}
		return bytes
	}, nil
}
