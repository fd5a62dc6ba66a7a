package service

import "runtime"

// starter runs functions on one operating system thread that lives as long as the processes they start: the death signal of a child is
// bound to the thread that started it.
type starter chan func()

func newStarter() starter {
	s := make(starter)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for f := range s {
			f()
		}
	}()
	return s
}

func (s starter) do(f func() error) error {
	done := make(chan error)
	s <- func() { done <- f() }
	return <-done
}
