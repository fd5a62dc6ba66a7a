package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"time"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

// askTime is how long a function that names no timeout has for its answer to an event, the wait for a worker included.
const askTime = 10 * time.Second

// authority lets the functions of the app decide what live clients may do, and lets clients call functions. It is live's Authority.
type authority struct {
	planes *exchange.Planes
	log    *slog.Logger // what the functions print
}

// Handles tells whether a function answers the event of the channel; the channel of connect is empty. It takes no lock.
func (a *authority) Handles(event, channel string) bool {
	return a.planes.Functions.On(event, channel) != nil
}

// Ask has the function of the event answer a request of spec/frame.md section 11; the channel is the request's member of that name. If
// the function failed, or is not there any more, the error is a problem and the client is to be refused.
func (a *authority) Ask(ctx context.Context, event string, request any) ([]byte, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, problem.New("HR7004", "request of %s: %w", event, err)
	}
	var about struct {
		Channel string `json:"channel"`
	}
	if err := json.Unmarshal(body, &about); err != nil {
		return nil, problem.New("HR7004", "request of %s: %w", event, err)
	}
	fn := a.planes.Functions.On(event, about.Channel)
	if fn == nil {
		return nil, problem.New("HR2003", "no function answers %s any more", event).At(about.Channel)
	}
	args, err := json.Marshal(map[string]json.RawMessage{fn.Options.On.Argument: body})
	if err != nil {
		return nil, problem.New("HR7004", "request of %s: %w", event, err)
	}
	if fn.Options.Timeout == 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, askTime)
		defer cancel()
	}
	return a.planes.Run(ctx, fn, args, identity.Caller{}, a.log)
}

// Call runs a call or batch function for a client, of which the function is told. No arguments, or null, are an empty object. Errors are
// problems, as of an HTTP call, or what the function has the client told.
func (a *authority) Call(ctx context.Context, function string, args []byte, caller identity.Caller) ([]byte, error) {
	var err error
	if caller.Claims, err = exchange.Claims([]byte(caller.Claims), &a.planes.Config.Server); err != nil {
		a.log.Debug("claims are left out", "user", caller.User, "client", caller.Client, "error", err)
	}
	result, err := a.call(ctx, function, args, caller)
	var e *workers.TaskError
	if errors.As(err, &e) && e.Refusal != nil {
		if refusal := live.Refusal(e.Refusal); refusal != nil {
			return nil, refusal
		}
	}
	return result, err
}

// call is Call for any caller.
func (a *authority) call(ctx context.Context, function string, args []byte, caller identity.Caller) ([]byte, error) {
	fn, err := a.planes.Functions.Get(function)
	if err != nil {
		return nil, err
	}
	if err := exchange.Callable(fn); err != nil {
		return nil, err
	}
	args = bytes.Clone(bytes.TrimSpace(args))
	if len(args) == 0 || string(args) == "null" {
		args = []byte("{}")
	}
	if err := strictjson.Check(args, a.planes.Config.Server.JSONDepth); err != nil {
		return nil, err
	}
	if args[0] != '{' {
		return nil, problem.New("HR2002", "%s: the arguments must be a JSON object", fn.Name).At("/args")
	}
	if err := a.planes.Hold(fn, args); err != nil {
		return nil, err
	}
	if err := fn.Validate(args); err != nil {
		return nil, err
	}
	return a.planes.Run(ctx, fn, args, caller, a.log)
}
