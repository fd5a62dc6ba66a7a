package exchange

import (
	"github.com/headrace/headrace/internal/config"
	"github.com/headrace/headrace/internal/functions"
)

// Published is a route as its documentation needs it.
type Published struct {
	*config.Route                     // of a function that declares its route itself: Match, Methods and Name
	Policy        *config.Policy      // that stands around it; nil is nothing
	Function      *functions.Function // that job and call lead to; nil for other actions, and while the function is not there
	Job           bool                // Function is enqueued
}
