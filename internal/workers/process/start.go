package process

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec says how the processes of one app are started.
type Spec struct {
	App     string   // file, or file:name
	Python  string   // interpreter
	Dir     string   // working directory
	Runtime string   // folder that holds the headrace Python package; first in PYTHONPATH. Empty uses the installed one.
	Env     []string // KEY=VALUE, after the environment of this process
	Nice    int      // added to this process's niceness
	Threads int      // of numeric libraries in each process
}

// Starter starts processes from one operating system thread that lives as long as they do: the death signal of a child
// is bound to the thread that started it.
type Starter struct {
	work   chan func()
	mu     sync.Mutex
	live   int // processes
	closed bool
}

// NewStarter starts the thread.
func NewStarter() *Starter {
	s := &Starter{work: make(chan func())}
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for f := range s.work {
			f()
		}
	}()
	return s
}

// Close ends the thread once every process has ended; nothing is started afterwards.
func (s *Starter) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.closed = true
		s.endIfDone()
	}
}

func (s *Starter) endIfDone() {
	if s.closed && s.live == 0 {
		close(s.work)
	}
}

// enter counts a process in, and leave counts it out.
func (s *Starter) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.live++
	return true
}

func (s *Starter) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.live--
	s.endIfDone()
}

// Spawn starts a worker, or a zygote, by exec.
func (s *Starter) Spawn(spec Spec, name string, zygote bool, lines Lines) (*Process, error) {
	l, err := newLink(lines)
	if err != nil {
		return nil, err
	}
	defer l.closeTheirs()
	args := []string{"-u", "-m", "headrace._worker", "--socket", "3"}
	if zygote {
		args = append(args, "--zygote")
	}
	cmd := exec.Command(spec.Python, append(args, spec.App)...)
	cmd.Dir = spec.Dir
	cmd.Env = spec.environment(name)
	cmd.ExtraFiles = []*os.File{l.sock}
	cmd.Stdout, cmd.Stderr = l.stdout, l.err
	cmd.SysProcAttr = attributes()

	if !s.enter() {
		l.closeOurs()
		return nil, os.ErrClosed
	}
	done := make(chan error)
	s.work <- func() { done <- cmd.Start() }
	if err := <-done; err != nil {
		s.leave()
		l.closeOurs()
		return nil, err
	}
	if spec.Nice != 0 {
		_ = unix.Setpriority(unix.PRIO_PROCESS, cmd.Process.Pid, niceness()+spec.Nice)
	}
	p := l.process(cmd.Process.Pid, handle{})
	p.grouped = true
	go func() {
		_ = cmd.Wait()
		exit := Exit{Code: cmd.ProcessState.ExitCode(), CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			exit.Signal = status.Signal()
		}
		if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
			exit.MaxRSS = int64(usage.Maxrss) * rssUnit
		}
		p.ended(exit)
		s.leave()
	}()
	return p, nil
}

// environment is this process's own, with the settings of a worker on top; later entries win.
func (s Spec) environment(name string) []string {
	threads := strconv.Itoa(max(1, s.Threads))
	env := append(os.Environ(), "PYTHONUNBUFFERED=1", "TOKENIZERS_PARALLELISM=false")
	for _, key := range []string{"OMP", "OPENBLAS", "MKL", "NUMEXPR", "RAYON"} {
		env = append(env, key+"_NUM_THREADS="+threads)
	}
	env = append(env, "VECLIB_MAXIMUM_THREADS="+threads)
	env = append(env, s.Env...)
	env = append(env, "HEADRACE_WORKER="+name)
	if s.Runtime == "" {
		return env
	}
	path := s.Runtime
	for i := len(env) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(env[i], "PYTHONPATH="); ok {
			if value != "" {
				path += string(os.PathListSeparator) + value
			}
			break
		}
	}
	return append(env, "PYTHONPATH="+path)
}

// niceness is this process's own.
func niceness() int {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, 0)
	if err != nil {
		return 0
	}
	if runtime.GOOS == "linux" {
		return 20 - n // the system call returns 20 - nice there
	}
	return n
}
