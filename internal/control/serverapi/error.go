package serverapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/problem"
)

// Error is what a command is refused with. Code and the beginning of the message are those that Centrifugo publishes.
type Error struct {
	Code    uint32 `json:"code"`
	Message string `json:"message"`
}

func (e *Error) Error() string { return fmt.Sprintf("%s (%d)", e.Message, e.Code) }

// Codes of errors.
const (
	internal       = 100
	unknownChannel = 102
	notFound       = 104
	badRequest     = 107
	notAvailable   = 108
	unrecoverable  = 112
)

func bad(format string, args ...any) error {
	return &Error{badRequest, "bad request: " + fmt.Sprintf(format, args...)}
}

func unavailable(format string, args ...any) error {
	return &Error{notAvailable, "not available: " + fmt.Sprintf(format, args...)}
}

// Status is the HTTP status of the error for clients that ask for one.
func (e *Error) Status() int {
	switch e.Code {
	case unknownChannel, notFound:
		return http.StatusNotFound
	case badRequest, notAvailable:
		return http.StatusBadRequest
	case unrecoverable:
		return http.StatusRequestedRangeNotSatisfiable
	default:
		return http.StatusInternalServerError
	}
}

// failure is an error as it is told. What went wrong inside is not told.
func failure(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	var refused *live.Failure
	if errors.As(err, &refused) {
		return &Error{refused.Code, refused.Message}
	}
	p := problem.From(err)
	switch p.Code {
	case "HR3010":
		return &Error{unknownChannel, "unknown channel: " + p.What}
	case "HR3011", "HR3051", "HR3052":
		return &Error{badRequest, "bad request: " + p.What}
	case "HR3012", "HR3013", "HR3014", "HR3015":
		return &Error{notAvailable, "not available: " + p.What}
	case "HR3016":
		return &Error{unrecoverable, "unrecoverable position: " + p.What}
	}
	return &Error{internal, "internal server error"}
}

// called is how a call of a function failed.
func called(err error) error {
	var f *live.Failure
	var d *live.Disconnect
	switch {
	case errors.As(err, &f):
		return &Error{f.Code, f.Message}
	case errors.As(err, &d): // there is nobody to disconnect
		return bad("%s", d.Reason)
	}
	switch p := problem.From(err); {
	case p.Code == "HR2003":
		return &Error{notFound, "not found: " + p.What}
	case p.Status() < http.StatusInternalServerError:
		return bad("%s", p.What)
	}
	return err
}
