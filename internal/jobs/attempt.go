package jobs

import (
	"encoding/json"
	"time"

	"github.com/headrace/headrace/internal/workers"
)

// Attempt is one run of a job that did not simply succeed, or the last one.
type Attempt struct {
	Number  int                `json:"number"` // counts failures and crashes, not interruptions
	Run     uint32             `json:"run"`    // counts every start
	Worker  string             `json:"worker,omitempty"`
	Started time.Time          `json:"started,omitzero"`
	Ended   time.Time          `json:"ended,omitzero"`
	Ending  string             `json:"ending"` // succeeded, failed, crashed, cancelled, timed_out, interrupted
	Error   *workers.TaskError `json:"error,omitempty"`
	Death   *workers.Death     `json:"death,omitempty"`
}

var endingNames = map[workers.Ending]string{
	workers.Succeeded: "succeeded", workers.Failed: "failed", workers.Crashed: "crashed",
	workers.Cancelled: "cancelled", workers.TimedOut: "timed_out", workers.Interrupted: "interrupted",
}

func (a *Attempt) json() []byte {
	b, err := json.Marshal(a)
	if err != nil {
		panic("jobs: attempt: " + err.Error()) // only strings, numbers and times
	}
	return b
}

func parseAttempt(b []byte) (*Attempt, error) {
	a := &Attempt{}
	return a, json.Unmarshal(b, a)
}

// summary is the one line that lists show.
func (a *Attempt) summary() string {
	switch {
	case a.Error != nil && a.Error.Message != "":
		return a.Error.Type + ": " + a.Error.Message
	case a.Error != nil:
		return a.Error.Type
	case a.Death != nil && a.Death.Signal != "":
		return "worker died: " + a.Death.Reason + " (" + a.Death.Signal + ")"
	case a.Death != nil:
		return "worker died: " + a.Death.Reason
	default:
		return a.Ending
	}
}
