package workers

import "time"

// function is a Function of one generation with what was measured of it. Guarded by the pool's lock.
type function struct {
	Function
	index   uint16
	batch   *gathering // for kind batch
	seen    int
	usual   time.Duration // moving average of the run time
	peak    time.Duration // of recent runs, decaying
	printed bool          // it prints, so its tasks go one by one: a line can then be told apart
}

// learn takes the run time of one task.
func (f *function) learn(run time.Duration) {
	if f.seen++; f.seen == 1 {
		f.usual, f.peak = run, run
		return
	}
	f.usual += (run - f.usual) / 8
	f.peak = max(run, f.peak-f.peak/20)
}

// cost is what one task is expected to take, at the cautious end; 0 if nothing is known yet.
func (f *function) cost() time.Duration {
	if f.seen < 3 {
		return 0
	}
	return max(f.usual, f.peak, time.Microsecond)
}

// short tells whether tasks may be staged behind and beside one another.
func (f *function) short() bool {
	cost := f.cost()
	return cost > 0 && cost <= frameWork && !f.printed
}

// abreast is how many tasks of it one worker runs at once.
func (f *function) abreast() int {
	if !f.Async {
		return 1
	}
	if f.Options.Concurrency > 0 {
		return f.Options.Concurrency
	}
	return 100
}
