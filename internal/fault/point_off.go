//go:build !faults

package fault

// Point marks a step at which the crash suite may end the process. Without the build tag faults it does nothing.
func Point(string) {}
