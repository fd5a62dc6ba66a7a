package service

import "time"

// Status is a replica as the admin API shows it.
type Status struct {
	Number    int       `json:"number"`
	State     string    `json:"state"` // ready, or starting while there is no process that takes requests
	Pid       int       `json:"pid,omitempty"`
	Address   string    `json:"address,omitempty"`
	Since     time.Time `json:"since,omitzero"` // of the state
	Busy      int64     `json:"busy"`           // requests under way
	Restarts  int       `json:"restarts"`
	Unhealthy int       `json:"unhealthy"`         // restarts of processes that did not answer
	Trouble   string    `json:"trouble,omitempty"` // why the last process ended or did not become ready, with what it printed
}

// Status lists the replicas.
func (v *Service) Status() []Status {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := []Status{}
	for _, k := range v.slots {
		s := Status{Number: k.number, State: "starting", Since: k.since, Restarts: k.restarts, Unhealthy: k.unhealthy, Trouble: k.trouble}
		if r := k.current; r != nil {
			s.State, s.Pid, s.Address, s.Busy = "ready", r.Pid, r.Address, r.Busy.Load()
		}
		list = append(list, s)
	}
	return list
}
