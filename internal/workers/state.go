package workers

// State is where a worker is in its life.
type State uint8

// A worker goes through these in order; only ready and busy alternate.
const (
	Starting State = iota // the process runs, its app is not imported yet
	Ready                 // nothing to do
	Busy                  // it has tasks
	Draining              // it finishes what it has and gets nothing more
	Stopping              // told to exit
	Dead
)

var stateNames = [...]string{"starting", "ready", "busy", "draining", "stopping", "dead"}

// String is the state's name in Status and in metrics.
func (s State) String() string { return stateNames[s] }

// MarshalText is String.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
