// Package cli is the command line: one file per noun, verbs as functions. Everything outside the process is in Env, so that tests
// run the same code.
package cli

import (
	"io"
	"path/filepath"
	"strings"
)

// Env is the outside of the command line.
type Env struct {
	Args     []string // without the name of the program
	Stdin    io.Reader
	Stdout   io.Writer // data
	Stderr   io.Writer // talk: logs, errors, next steps
	Terminal bool      // Stderr is a terminal
	Environ  []string  // in the form of os.Environ
	Dir      string    // working folder, absolute
	Version  string
}

// Exit codes.
const (
	ExitOK          = 0 // done
	ExitFailed      = 1 // refused or failed; stderr tells why
	ExitUsage       = 2 // wrong usage or configuration; nothing was tried
	ExitUnreachable = 3 // no server at the address
	ExitJobFailed   = 4 // the job that was followed did not succeed
	ExitInterrupted = 130
)

// get is the value of an environment variable, "" if it is not set.
func (e *Env) get(name string) string {
	for i := len(e.Environ) - 1; i >= 0; i-- {
		if value, ok := strings.CutPrefix(e.Environ[i], name+"="); ok {
			return value
		}
	}
	return ""
}

// path is a name that the user gave, taken in the working folder.
func (e *Env) path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(e.Dir, name)
}
