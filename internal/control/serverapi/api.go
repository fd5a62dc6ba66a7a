// Package serverapi answers the commands of Centrifugo's server API on the live plane, so that programs and libraries written for it work
// unchanged. It knows bodies and answers; the package control brings them over HTTP.
package serverapi

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"

	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/observe"
	"github.com/headrace/headrace/internal/problem"
)

// API answers commands.
type API struct {
	Live  *live.Live
	Node  string // its name
	Depth int    // of JSON
	Log   *slog.Logger
}

// Commands are the names of the commands, batch aside.
func Commands() []string {
	names := make([]string, 0, len(commands))
	for name := range commands {
		names = append(names, name)
	}
	return names
}

// Answer is what a command gives: a result, or an error in its place.
type Answer struct {
	Result any    `json:"result,omitempty"`
	Error  *Error `json:"error,omitempty"`
}

// command reads a request, without doing anything yet.
type command func(body json.RawMessage) (run, error)

// run does what was asked for.
type run func(context.Context, *API) (any, error)

var commands = map[string]command{
	"publish":        reads(publish),
	"broadcast":      reads(broadcast),
	"subscribe":      reads(subscribe),
	"unsubscribe":    reads(unsubscribe),
	"disconnect":     reads(disconnect),
	"refresh":        reads(refresh),
	"presence":       reads(presence),
	"presence_stats": reads(presenceStats),
	"history":        reads(history),
	"history_remove": reads(historyRemove),
	"channels":       reads(channels),
	"info":           reads(info),
	"rpc":            reads(rpc),
}

// reads makes a command of what does it. Members that are not known are left alone, as newer clients send them.
func reads[R any](do func(context.Context, *API, *R) (any, error)) command {
	return func(body json.RawMessage) (run, error) {
		r := new(R)
		if err := json.Unmarshal(body, r); err != nil {
			return nil, problem.New("HR3017", "%w", err)
		}
		return func(ctx context.Context, a *API) (any, error) { return do(ctx, a, r) }, nil
	}
}

// Do answers a command, which must be one of Commands. A body that is no request is a problem, and nothing was done: HR2001, HR2010, HR3017. An
// empty body is an empty request.
func (a *API) Do(ctx context.Context, name string, body []byte) (Answer, error) {
	body, err := a.check(body)
	if err != nil {
		return Answer{}, err
	}
	run, err := commands[name](body)
	if err != nil {
		return Answer{}, err
	}
	return a.answer(ctx, name, run), nil
}

func (a *API) check(body []byte) ([]byte, error) {
	if body = bytes.TrimSpace(body); len(body) == 0 {
		return []byte("{}"), nil
	}
	if err := strictjson.Check(body, a.Depth); err != nil {
		return nil, err
	}
	if body[0] != '{' {
		return nil, problem.New("HR3017", "the request is no JSON object")
	}
	return body, nil
}

func (a *API) answer(ctx context.Context, name string, run run) Answer {
	result, err := run(ctx, a)
	if err == nil {
		return Answer{Result: result}
	}
	told := failure(err)
	if told.Code == internal {
		a.Log.Error("command of the server API failed", "command", name, observe.Error(err))
	}
	return Answer{Error: told}
}

type empty struct{}
