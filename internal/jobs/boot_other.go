//go:build !linux

package jobs

// bootID names this run of the operating system. It is not known here.
func bootID() string { return "" }
