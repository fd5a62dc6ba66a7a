package engine

// Condition is one thing that can be well or not, for readiness checks and people.
type Condition struct {
	Name   string // commit, disk or connection
	OK     bool
	Reason string // one line, empty when well
}

// Health are the conditions of the engine. Not one of them asks the disk or the network: they tell what is known.
func (e *Engine) Health() []Condition {
	commit := Condition{Name: "commit", OK: true}
	if e.clock != nil {
		if failure := e.clock.failed.Load(); failure != nil {
			commit = Condition{Name: "commit", Reason: failure.Error()}
		}
	}
	disk := Condition{Name: "disk", OK: true}
	if closed := e.guard.closed.Load(); closed != nil {
		disk = Condition{Name: "disk", Reason: closed.Error()}
	}
	connection := Condition{Name: "connection", OK: true}
	switch {
	case e.external != nil && !e.external.probe.IsConnected():
		connection = Condition{Name: "connection", Reason: "external engine is " + e.external.probe.Status().String()}
	case e.srv != nil && !e.srv.Running():
		connection = Condition{Name: "connection", Reason: "embedded engine has stopped"}
	}
	return []Condition{commit, disk, connection}
}
