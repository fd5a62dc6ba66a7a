//go:build faults

package fault

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// plan is what HEADRACE_FAULT asks for: NAME:N=ACTION does ACTION (kill or stop) when point NAME is passed for the N-th time.
type plan struct {
	name   string
	signal syscall.Signal
	left   atomic.Int64
}

var armed = read(os.Getenv("HEADRACE_FAULT"))

func read(text string) *plan {
	if text == "" {
		return nil
	}
	where, action, ok := strings.Cut(text, "=")
	name, count, counted := strings.Cut(where, ":")
	n, err := strconv.Atoi(count)
	signals := map[string]syscall.Signal{"kill": syscall.SIGKILL, "stop": syscall.SIGSTOP}
	if !ok || !counted || err != nil || signals[action] == 0 {
		panic("HEADRACE_FAULT is not NAME:N=kill or NAME:N=stop: " + text)
	}
	p := &plan{name: name, signal: signals[action]}
	p.left.Store(int64(n))
	return p
}

// Point marks a step at which the crash suite may end the process.
func Point(name string) {
	if armed != nil && armed.name == name && armed.left.Add(-1) == 0 {
		fmt.Fprintf(os.Stderr, "fault: %s at %s\n", armed.signal, name)
		if err := syscall.Kill(os.Getpid(), armed.signal); err != nil {
			panic(err)
		}
		if armed.signal == syscall.SIGKILL {
			select {}
		}
	}
}
