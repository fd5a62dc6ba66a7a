package upstream

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// Stage is how far a call had come when it failed.
type Stage uint8

// The stages of a call.
const (
	Connect Stage = iota + 1 // connecting, the TLS handshake included
	Busy                     // waiting for one of MaxConns connections
	Source                   // reading the body of the request from the caller: not the target's fault; Err is what Body said
	Send                     // writing the request
	Head                     // waiting for the head of the answer, or reading it
	Body                     // reading the body of the answer
)

// String is the name of the stage, as in logs and labels.
func (s Stage) String() string {
	return [...]string{"", "connect", "busy", "source", "send", "head", "body"}[s]
}

// Error is why a call failed. Do and the body of an answer return no other errors than *Error and io.EOF.
type Error struct {
	Stage     Stage
	Timeout   bool // it took too long
	Malformed bool // the answer breaks the rules of HTTP/1.1
	Sent      bool // bytes of the request may have reached the target
	Err       error
}

// Error implements error.
func (e *Error) Error() string { return e.Stage.String() + ": " + e.Err.Error() }

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// ErrGone is why a call was given up that nobody waits for any more.
var ErrGone = errors.New("nobody waits for the answer any more")

// malformed says what is wrong with an answer.
type malformed string

func (m malformed) Error() string { return string(m) }

// errSilent is the end of a connection where the beginning of an answer was expected.
var errSilent = errors.New("the target closed the connection without an answer")

// errCut is the end of a connection in the middle of an answer.
var errCut = errors.New("the target closed the connection in the middle of the answer")

// errKept is a kept connection that the target has closed, or has sent something on, before it was used again.
var errKept = errors.New("the kept connection is not usable any more")

// failure makes an Error of what happened to a connection.
func failure(stage Stage, sent bool, err error) *Error {
	e := &Error{Stage: stage, Sent: sent, Err: err}
	var m malformed
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		e.Timeout = true
	case errors.As(err, &m):
		e.Malformed = true
		e.Stage = max(stage, Head)
	}
	return e
}

// broken tells whether err is that of a connection that the target has closed.
func broken(err error) bool {
	return err == errSilent || err == errKept || err == io.EOF || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.Is(err, syscall.ECONNABORTED)
}
