package workers

import (
	"encoding/json"
	"time"
)

// Function is what a worker's hello tells of one function; see spec/frame.md section 3.
type Function struct {
	Name    string          `json:"name"`
	Kind    string          `json:"kind"` // job, call or batch
	Async   bool            `json:"async"`
	Stream  bool            `json:"stream"`
	Doc     string          `json:"doc"`
	Args    json.RawMessage `json:"args"`
	Result  json.RawMessage `json:"result"`
	Blobs   []string        `json:"blobs"`
	Options Options         `json:"options"`
}

// Options are what the decorator gave; nil or zero means not given. Durations are seconds.
type Options struct {
	Queue        string   `json:"queue,omitempty"`
	Retries      *int     `json:"retries,omitempty"`
	Backoff      float64  `json:"backoff,omitempty"`
	BackoffMax   float64  `json:"backoff_max,omitempty"`
	Timeout      float64  `json:"timeout,omitempty"`
	QueueTimeout float64  `json:"queue_timeout,omitempty"`
	Expires      float64  `json:"expires,omitempty"`
	Priority     string   `json:"priority,omitempty"`
	Key          string   `json:"key,omitempty"`
	KeyLimit     int      `json:"key_limit,omitempty"`
	Unique       string   `json:"unique,omitempty"`
	UniquePolicy string   `json:"unique_policy,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Route        string   `json:"route,omitempty"`
	Policies     []string `json:"policies,omitempty"` // of the route
	Size         int      `json:"size,omitempty"`
	Wait         float64  `json:"wait,omitempty"`
	Bytes        int      `json:"bytes,omitempty"`
	Concurrency  int      `json:"concurrency,omitempty"`
	Cron         string   `json:"cron,omitempty"`
	Timezone     string   `json:"timezone,omitempty"`
	Missed       string   `json:"missed,omitempty"`
	On           *Event   `json:"on,omitempty"`
}

// Event is the live event that a function answers; see spec/frame.md section 11.
type Event struct {
	Event    string `json:"event"`              // connect, subscribe or publish
	Channels string `json:"channels,omitempty"` // name of a channel, or a beginning of names and a star; empty for connect
	Argument string `json:"argument"`           // name of the argument that gets the request
}

// Task is one run of a function that a pool has been offered.
type Task struct {
	Function string
	Meta     []byte        // JSON object or nil, handed to the worker as it is
	Args     []byte        // JSON object; blobs already carry their path
	Timeout  time.Duration // of the run; 0 is none. The pool enforces it with the cancel ladder.
	Deadline time.Time     // when it must have ended; only shortens how long a batch gathers. Zero is none.
	Sink     Sink
}

// Sink receives what a task does. A pool calls it from one goroutine at a time per task, in the order of events, and ends with
// exactly one Done. Methods must not block and must not keep the byte slices they are given.
type Sink interface {
	Started(worker string, pid int)               // the task was written to this worker
	Progress(body []byte)                         // JSON of spec/frame.md kind 6
	Chunk(body []byte)                            // JSON value
	Log(body []byte)                              // JSON of kind 8
	Checkpoint(body []byte)                       // JSON value
	Request(body []byte, reply func(body []byte)) // JSON of kind 16; reply may be called later, from any goroutine, with the JSON of kind 17
	Done(outcome Outcome)
}

// Ending says how a run ended.
type Ending uint8

const (
	Succeeded   Ending = iota // Result holds the JSON
	Failed                    // the function raised; Error tells what
	Crashed                   // the process died while it ran this task; Death tells how
	Cancelled                 // ended by Cancel with reason cancelled or gone
	TimedOut                  // ended by its Timeout
	Interrupted               // drained, reloaded, or staged in a process that died while another task ran: not an attempt
)

// Outcome is the end of a run.
type Outcome struct {
	Ending Ending
	Result []byte        // valid during the call of Done
	Error  *TaskError    // for Failed, and for Cancelled or TimedOut where the function answered
	Death  *Death        // for Crashed, and for Cancelled or TimedOut where the process had to be killed
	Run    time.Duration // time in the function, 0 if unknown
	Worker string
}

// TaskError is the body of an error frame.
type TaskError struct {
	Kind      string  `json:"kind"`
	Type      string  `json:"type"`
	Message   string  `json:"message"`
	Traceback string  `json:"traceback,omitempty"`
	After     float64 `json:"after,omitempty"`  // seconds, for kind retry; 0 if not given
	Status    int     `json:"status,omitempty"` // HTTP status for who called, for kind fail; 0 if not given

	Refusal json.RawMessage `json:"refusal,omitempty"` // what a live client is told, for kind fail: an answer of spec/frame.md section 11; nil if not given
}

// Error is the message alone.
func (e *TaskError) Error() string { return e.Message }

// Answer is the HTTP status that a call of kind fail is answered with: 422 unless the function gave another one of an error.
func (e *TaskError) Answer() int {
	if e.Status < 400 || e.Status > 599 {
		return 422
	}
	return e.Status
}

// Death is the cause of a worker's end.
type Death struct {
	Reason   string   `json:"reason"` // exit, signal, out_of_memory, timeout, cancelled, protocol, recycled, reload, drain, idle, lost (the connection of a remote worker)
	ExitCode int      `json:"exit_code"`
	Signal   string   `json:"signal,omitempty"`  // SIGKILL, …
	MaxRSS   int64    `json:"max_rss,omitempty"` // bytes
	Last     []string `json:"last,omitempty"`    // last lines it printed, at most 20
}
