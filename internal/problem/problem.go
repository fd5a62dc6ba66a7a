// Package problem is the one error type that leaves headrace: a stable code from spec/errors.yaml, what went wrong, where, and
// what to do next. The same value becomes a problem+json body, a CLI message and a log attribute.
package problem

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"github.com/headrace/headrace/spec"
)

// Error is a problem. What stands alone in lower case without a full stop; Where is a place such as `headrace.yaml:18:7`, `/args/top`
// or a job's id, and may be empty; Hint is one imperative sentence.
type Error struct {
	Code  string
	What  string
	Where string
	Hint  string
	// Key of the configuration that is wrong, below the route or policy that was compiled, as in edit.request.X-User; empty is none. Who has read the
	// files makes Where of it.
	Key string

	status int // 0 is that of the code
	cause  error
}

// Entry is one code of the catalogue.
type Entry struct {
	Status int    `yaml:"status"`
	Title  string `yaml:"title"`
	Hint   string `yaml:"hint"`
}

// Catalogue returns all codes; the map must not be changed.
var Catalogue = sync.OnceValue(func() map[string]Entry {
	entries := map[string]Entry{}
	if err := yaml.Unmarshal(spec.Errors, &entries); err != nil {
		panic("spec/errors.yaml: " + err.Error())
	}
	return entries
})

// New makes a problem with the catalogue's hint. An unknown code is a programming error and panics.
func New(code, format string, args ...any) *Error {
	entry, ok := Catalogue()[code]
	if !ok {
		panic("problem: code " + code + " is not in spec/errors.yaml")
	}
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, What: err.Error(), Hint: entry.Hint, cause: errors.Unwrap(err)}
}

// At says where it happened.
func (e *Error) At(where string) *Error { e.Where = where; return e }

// Of names the key of the configuration that is wrong.
func (e *Error) Of(key string) *Error { e.Key = key; return e }

// Hinting replaces the hint of the catalogue.
func (e *Error) Hinting(format string, args ...any) *Error {
	e.Hint = fmt.Sprintf(format, args...)
	return e
}

// Answering replaces the HTTP status of the catalogue.
func (e *Error) Answering(status int) *Error { e.status = status; return e }

// Status is the HTTP status: that of the code, unless it was replaced.
func (e *Error) Status() int { return cmp.Or(e.status, Catalogue()[e.Code].Status) }

// Title is the catalogue's short name of the code.
func (e *Error) Title() string { return Catalogue()[e.Code].Title }

// Error is one line: code, what and where.
func (e *Error) Error() string {
	if e.Where == "" {
		return e.Code + ": " + e.What
	}
	return e.Code + ": " + e.What + " (" + e.Where + ")"
}

// Unwrap is the cause given with %w, if any.
func (e *Error) Unwrap() error { return e.cause }

// Text is the form for a terminal: what, where and hint on lines of their own.
func (e *Error) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "error[%s]: %s\n", e.Code, e.What)
	if e.Where != "" {
		fmt.Fprintf(&b, "  at: %s\n", strings.ReplaceAll(e.Where, "\n", "\n      "))
	}
	fmt.Fprintf(&b, "hint: %s\n", e.Hint)
	return b.String()
}

// From returns the problem inside err, or HR7004 around it.
func From(err error) *Error {
	var p *Error
	if errors.As(err, &p) {
		return p
	}
	return New("HR7004", "%w", err)
}
