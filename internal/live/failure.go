package live

import (
	"errors"
	"fmt"

	"github.com/centrifugal/protocol"
)

// Failure is an error that a client gets as the reply to a command. Codes below 400 are those of the Centrifuge protocol.
type Failure struct {
	Code      uint32
	Message   string
	Temporary bool // the same command may succeed later
}

func (f *Failure) Error() string { return fmt.Sprintf("%s (%d)", f.Message, f.Code) }

func (f *Failure) reply() *protocol.Error {
	return &protocol.Error{Code: f.Code, Message: f.Message, Temporary: f.Temporary}
}

// Failures with the published codes.
var (
	ErrInternal          = &Failure{100, "internal server error", true}
	ErrUnauthorized      = &Failure{101, "unauthorized", false}
	ErrUnknownChannel    = &Failure{102, "unknown channel", false}
	ErrPermissionDenied  = &Failure{103, "permission denied", false}
	ErrMethodNotFound    = &Failure{104, "method not found", false}
	ErrAlreadySubscribed = &Failure{105, "already subscribed", false}
	ErrLimitExceeded     = &Failure{106, "limit exceeded", false}
	ErrBadRequest        = &Failure{107, "bad request", false}
	ErrNotAvailable      = &Failure{108, "not available", false}
	ErrTokenExpired      = &Failure{109, "token expired", false}
	ErrExpired           = &Failure{110, "expired", false}
	ErrTooManyRequests   = &Failure{111, "too many requests", true}
	ErrUnrecoverable     = &Failure{112, "unrecoverable position", false}
)

// Disconnect ends a connection. Clients come back after codes 3000 to 3499 and 4000 to 4499, not after 3500 to 3999 and 4500 to 4999.
type Disconnect struct {
	Code   uint32
	Reason string // at most 123 bytes
}

func (d *Disconnect) Error() string { return fmt.Sprintf("disconnect: %s (%d)", d.Reason, d.Code) }

// Disconnects with the published codes.
var (
	DisconnectClosed            = &Disconnect{3000, "connection closed"}
	DisconnectShutdown          = &Disconnect{3001, "shutdown"}
	DisconnectServerError       = &Disconnect{3004, "internal server error"}
	DisconnectExpired           = &Disconnect{3005, "connection expired"}
	DisconnectSubExpired        = &Disconnect{3006, "subscription expired"}
	DisconnectSlow              = &Disconnect{3008, "slow"}
	DisconnectWriteError        = &Disconnect{3009, "write error"}
	DisconnectInsufficientState = &Disconnect{3010, "insufficient state"}
	DisconnectForceReconnect    = &Disconnect{3011, "force reconnect"}
	DisconnectNoPong            = &Disconnect{3012, "no pong"}
	DisconnectInvalidToken      = &Disconnect{3500, "invalid token"}
	DisconnectBadRequest        = &Disconnect{3501, "bad request"}
	DisconnectStale             = &Disconnect{3502, "stale"}
	DisconnectForce             = &Disconnect{3503, "force disconnect"}
	DisconnectConnectionLimit   = &Disconnect{3504, "connection limit"}
	DisconnectChannelLimit      = &Disconnect{3505, "channel limit"}
	DisconnectInappropriate     = &Disconnect{3506, "inappropriate protocol"}
	DisconnectPermissionDenied  = &Disconnect{3507, "permission denied"}
	DisconnectNotAvailable      = &Disconnect{3508, "not available"}
)

// Codes of unsubscribe pushes; after 2500 and above clients subscribe again.
const (
	unsubscribedServer      = 2000
	unsubscribedState       = 2500
	unsubscribedExpired     = 2501
	reasonServer            = "server unsubscribe"
	reasonState             = "insufficient state"
	reasonExpired           = "subscription expired"
	longestReason       int = 123
)

// failure is what a client is told of an error that is no Disconnect.
func failure(err error) *Failure {
	var f *Failure
	if errors.As(err, &f) {
		return f
	}
	return ErrInternal
}
