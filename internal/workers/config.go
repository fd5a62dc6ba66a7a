package workers

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/process"
)

// Config says what a pool runs and within which bounds. The zero value of a field means its default.
type Config struct {
	Name   string // of the pool; "default"
	App    string // file of the app, or file:variable; required
	Python string // interpreter; .venv/bin/python beside the app if there is one, or python3
	Dir    string // working directory of the processes; the app's folder

	Remote bool // all workers come from other machines through a Listener; none are started here and App is not needed

	Min int // workers kept ready; 1
	Max int // most workers; Min

	StartTimeout time.Duration // from the start of a process to its hello; 60s
	Grace        time.Duration // for tasks to finish when a worker is drained; 10s
	CancelGrace  time.Duration // from the flag to SIGKILL when a task is cancelled or timed out; 2s
	IdleAfter    time.Duration // a worker over Min that had nothing to do for this long is stopped; 30s

	MaxTasks      int           // a worker is replaced after this many tasks, give or take 10%; 0 is never
	MaxAge        time.Duration // a worker is replaced after this long; 0 is never
	RecycleMemory int64         // a worker whose resident bytes exceed this is replaced after its task; four fifths of MaxMemory
	MaxMemory     int64         // a worker whose resident bytes exceed this is killed during its task; 0 is never
	WatchEvery    time.Duration // how often the memory of busy workers is read; 100ms. Idle ones are read ten times less often.

	MaxCPU float64 // no worker is added while the machine's processors are busier than this share; 0.9

	Nice    int      // added to headrace's own niceness; 5. Negative is none.
	Threads int      // of numeric libraries in each worker (OMP_NUM_THREADS and its kin); 1
	Env     []string // KEY=VALUE, on top of headrace's own environment

	Zygote      bool // fork workers from a process that has imported the app; only Linux does, others spawn
	QueuedCalls int  // most calls that wait for a worker; 1000
	FastDeaths  int  // starts that fail in a row until the pool is unhealthy; 5

	Spool   string // folder where workers may leave blobs; a new one under the temporary folder
	Runtime string // folder that holds the headrace Python package; empty uses the installed one
}

const (
	frameTasks  = 64                   // most tasks in one frame
	frameWork   = 5 * time.Millisecond // most work in one frame
	frameAhead  = 2                    // most frames outstanding at a worker
	stuckAfter  = 4 * frameWork        // nothing is staged behind a task that runs longer than this
	waitTooLong = 5 * time.Millisecond // work that waited this long asks for another worker
)

func (c Config) withDefaults() Config {
	set(&c.Name, "default")
	set(&c.Min, 1)
	c.Max = max(c.Min, c.Max)
	if c.Remote {
		c.Min, c.Max = 0, 0
	}
	set(&c.StartTimeout, time.Minute)
	set(&c.Grace, 10*time.Second)
	set(&c.CancelGrace, 2*time.Second)
	set(&c.IdleAfter, 30*time.Second)
	set(&c.WatchEvery, 100*time.Millisecond)
	set(&c.MaxCPU, 0.9)
	set(&c.RecycleMemory, c.MaxMemory/5*4)
	set(&c.Nice, 5)
	c.Nice = max(c.Nice, 0)
	set(&c.Threads, 1)
	set(&c.QueuedCalls, 1000)
	set(&c.FastDeaths, 5)
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// spec checks that the app and the interpreter are there and says how to start a process.
func (c Config) spec() (process.Spec, error) {
	file, variable := c.App, ""
	if i := strings.LastIndexByte(file, ':'); i > 0 {
		file, variable = file[:i], file[i:]
	}
	file, err := filepath.Abs(file)
	if err == nil {
		_, err = os.Stat(file)
	}
	if err != nil {
		return process.Spec{}, problem.New("HR6010", "app file of pool %s cannot be read: %w", c.Name, err).At(c.App)
	}
	python := c.Python
	if python == "" {
		python = filepath.Join(filepath.Dir(file), ".venv", "bin", "python")
		if _, err := os.Stat(python); errors.Is(err, fs.ErrNotExist) {
			python = "python3"
		}
	}
	python, err = exec.LookPath(python)
	if err != nil {
		return process.Spec{}, problem.New("HR6004", "no Python interpreter for pool %s: %w", c.Name, err).At(c.Python)
	}
	dir := c.Dir
	if dir == "" {
		dir = filepath.Dir(file)
	}
	return process.Spec{App: file + variable, Python: python, Dir: dir, Runtime: c.Runtime, Env: c.Env, Nice: c.Nice, Threads: c.Threads}, nil
}
