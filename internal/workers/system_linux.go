package workers

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

var pageSize = int64(os.Getpagesize())

// residentBytes is the resident size of a process, 0 if it is gone.
func residentBytes(pid int) int64 {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0
	}
	fields := bytes.Fields(data)
	if len(fields) < 2 {
		return 0
	}
	pages, _ := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * pageSize
}

// kernelKills is how many processes the kernel has killed for want of memory since the machine started, cgroups included.
func kernelKills() int64 {
	data, err := os.ReadFile("/proc/vmstat")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(data, []byte("\noom_kill "))
	line, _, _ := bytes.Cut(rest, []byte("\n"))
	n, _ := strconv.ParseInt(string(line), 10, 64)
	return n
}

// meter measures how busy the processors are between two looks.
type meter struct{ total, idle int64 }

func newMeter() *meter {
	m := &meter{}
	m.busy()
	return m
}

// busy is the share of processor time used since the last look, 0 to 1.
func (m *meter) busy() float64 {
	data, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	var total, idle int64
	for i, field := range bytes.Fields(line) {
		n, _ := strconv.ParseInt(string(field), 10, 64)
		switch {
		case i == 0 || i > 8: // the name; guest time is part of user time
			continue
		case i == 4 || i == 5: // idle, waiting for a disk
			idle += n
		}
		total += n
	}
	ticks, still := total-m.total, idle-m.idle
	m.total, m.idle = total, idle
	if ticks <= 0 {
		return 0
	}
	return 1 - float64(still)/float64(ticks)
}
