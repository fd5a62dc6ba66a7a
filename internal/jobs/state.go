package jobs

// State is where a job stands.
//
//	waiting ──► scheduled ──► ready ──► running ──► succeeded
//	   │            ▲           ▲          │
//	   │            └───────────┴──────────┤ failed with retries left, or interrupted
//	   │                                   ├──► dead
//	   └───────────────────────────────────┴──► cancelled, expired
//
// A job waits for the jobs it comes after, is scheduled until its time, and ready until a worker has room. The four on the right
// are terminal: a job is recorded in one of them exactly once, unless somebody retries it by hand, which begins it anew.
type State uint8

const (
	Waiting State = iota
	Scheduled
	Ready
	Running
	Succeeded
	Dead
	Cancelled
	Expired
)

var stateNames = [...]string{"waiting", "scheduled", "ready", "running", "succeeded", "dead", "cancelled", "expired"}

// String is the state's name in the API.
func (s State) String() string { return stateNames[s] }

// Terminal tells whether the job has ended.
func (s State) Terminal() bool { return s >= Succeeded }

// ParseState is the reverse of String.
func ParseState(name string) (State, bool) {
	for i, n := range stateNames {
		if n == name {
			return State(i), true
		}
	}
	return 0, false
}

// Priority orders the jobs of a queue. A higher one is served more often, never exclusively: see weights.
type Priority uint8

const (
	Low Priority = iota
	Normal
	High
	Critical
	priorities = 4
)

var priorityNames = [priorities]string{"low", "normal", "high", "critical"}

// weights are the shares of the priorities of one queue while all of them have work.
var weights = [priorities]float64{1, 4, 16, 64}

// String is the priority's name in the API.
func (p Priority) String() string { return priorityNames[p] }

// ParsePriority is the reverse of String; empty is Normal.
func ParsePriority(name string) (Priority, bool) {
	if name == "" {
		return Normal, true
	}
	for i, n := range priorityNames {
		if n == name {
			return Priority(i), true
		}
	}
	return 0, false
}
