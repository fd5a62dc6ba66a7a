package config

import "time"

// Pool is a set of identical worker processes of one app file.
type Pool struct {
	// Python file with the functions; app.py:NAME where the App is not called app.
	App string `yaml:"app" path:"true"`
	// Take workers from other machines only, which bring the app with them; no app is needed here.
	Remote bool `yaml:"remote"`
	// Interpreter, as a command or a path; empty takes .venv/bin/python beside the app if it is there, or python3.
	Python string `yaml:"python" path:"command"`
	// Working folder of the workers; empty is the folder of the app.
	Dir string `yaml:"dir" path:"true"`
	// Processes kept when there is nothing to do.
	Min int `yaml:"min" min:"1"`
	// Most processes; 0 is the number of CPUs.
	Max int `yaml:"max" min:"0" max:"10000"`
	// Time the app has to import and say hello.
	StartTimeout time.Duration `yaml:"start_timeout" min:"1ms"`
	// Time between the polite and the forced end of a task or process.
	Grace time.Duration `yaml:"grace"`
	// Time without work after which a process above min is stopped.
	Idle time.Duration `yaml:"idle" min:"1ms"`
	// Tasks after which a process is replaced; 0 is never.
	MaxTasks int `yaml:"max_tasks" min:"0"`
	// Age after which a process is replaced; 0s is never.
	MaxAge time.Duration `yaml:"max_age"`
	// Resident memory over which a process is replaced after its task; 0B is four fifths of max_memory, and never without that.
	RecycleMemory Size `yaml:"recycle_memory"`
	// Resident memory over which a process is killed during its task; 0B is never.
	MaxMemory Size `yaml:"max_memory"`
	// CPU priority of the processes, from 0 (that of headrace) to 19 (lowest).
	Nice int `yaml:"nice" min:"0" max:"19"`
	// Threads that numeric libraries may use in one process (OMP_NUM_THREADS and its kin).
	Threads int `yaml:"threads" min:"1" max:"1024"`
	// Import the app once and fork the processes from there.
	Zygote bool `yaml:"zygote"`
	// Calls that may wait for a free process; more are answered with HR2014.
	QueuedCalls int `yaml:"queued_calls" min:"1"`
	// Environment of the processes, added to that of headrace.
	Env map[string]string `yaml:"env" secret:"true"`
}

func (p *Pool) defaults() {
	*p = Pool{
		Min: 1, StartTimeout: time.Minute, Grace: 10 * time.Second, Idle: 30 * time.Second, Nice: 5, Threads: 1, Zygote: true,
		QueuedCalls: 1024, Env: map[string]string{},
	}
}

// Size is the most processes the pool may have: Max, or the number of CPUs (but not less than Min) where Max is 0.
func (p *Pool) Size() int {
	if p.Max > 0 {
		return p.Max
	}
	return max(p.Min, CPUs())
}
