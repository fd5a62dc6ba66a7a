package app

import (
	"context"
	"encoding/json"

	"github.com/headrace/headrace/internal/problem"
)

// channels is the live plane as functions reach it.
type channels interface {
	Publish(ctx context.Context, channel string, o publishing) (position, error)
	Broadcast(ctx context.Context, channels []string, o publishing) ([]position, error)
	Presence(ctx context.Context, channel string) ([]member, error)
	History(ctx context.Context, channel string, o reading) (found, error)
	Disconnect(ctx context.Context, who whom, code uint32, reason string) error // a code of 0 is the plane's own
	Unsubscribe(ctx context.Context, channel string, who whom) error
}

// The JSON of spec/frame.md section 7.
type (
	publishing struct {
		Data           json.RawMessage   `json:"data"`
		Key            string            `json:"key"`
		IdempotencyKey string            `json:"idempotency_key"`
		Tags           map[string]string `json:"tags"`
		Version        uint64            `json:"version"`
		VersionEpoch   string            `json:"version_epoch"`
	}
	position struct {
		Offset uint64 `json:"offset,omitempty"`
		Epoch  string `json:"epoch,omitempty"`
	}
	member struct {
		Client      string          `json:"client"`
		User        string          `json:"user,omitempty"`
		Info        json.RawMessage `json:"info,omitempty"`
		ChannelInfo json.RawMessage `json:"channel_info,omitempty"`
	}
	reading struct {
		Limit   int       `json:"limit"` // 0: only the position
		Since   *position `json:"since"`
		Reverse bool      `json:"reverse"`
	}
	found struct {
		Publications []publication `json:"publications"`
		position
	}
	publication struct {
		Data   json.RawMessage   `json:"data,omitempty"`
		Binary []byte            `json:"b64data,omitempty"` // instead of data that is no JSON
		Offset uint64            `json:"offset"`
		Time   int64             `json:"time,omitempty"` // Unix milliseconds
		Client string            `json:"client,omitempty"`
		User   string            `json:"user,omitempty"`
		Info   json.RawMessage   `json:"info,omitempty"`
		Tags   map[string]string `json:"tags,omitempty"`
		Key    string            `json:"key,omitempty"`
	}
	whom struct { // one of them is not empty
		User   string `json:"user"`
		Client string `json:"client"`
	}
)

// operations answers what functions ask of live channels. It implements jobs.Operations.
type operations struct{ live channels } // nil while the live plane is off

// Operate implements jobs.Operations.
func (o *operations) Operate(ctx context.Context, op string, body []byte) ([]byte, error) {
	serve := served[op]
	if serve == nil {
		return nil, problem.New("HR6009", "operation %.40q", op)
	}
	if o.live == nil {
		return nil, problem.New("HR6009", "%s: the live plane is off", op).Hinting("add a section live to the configuration")
	}
	answer, err := serve(ctx, o.live, body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(answer)
}

type done struct{}

// served are the operations by name.
var served = map[string]func(context.Context, channels, []byte) (any, error){
	"publish": with(func(ctx context.Context, live channels, a *struct {
		Channel string `json:"channel"`
		publishing
	}) (any, error) {
		return live.Publish(ctx, a.Channel, a.publishing)
	}),
	"broadcast": with(func(ctx context.Context, live channels, a *struct {
		Channels []string `json:"channels"`
		publishing
	}) (any, error) {
		positions, err := live.Broadcast(ctx, a.Channels, a.publishing)
		return struct {
			Positions []position `json:"positions"`
		}{positions}, err
	}),
	"presence": with(func(ctx context.Context, live channels, a *struct {
		Channel string `json:"channel"`
	}) (any, error) {
		members, err := live.Presence(ctx, a.Channel)
		return struct {
			Members []member `json:"members"`
		}{append([]member{}, members...)}, err
	}),
	"history": with(func(ctx context.Context, live channels, a *struct {
		Channel string `json:"channel"`
		reading
	}) (any, error) {
		past, err := live.History(ctx, a.Channel, a.reading)
		past.Publications = append([]publication{}, past.Publications...)
		return past, err
	}),
	"disconnect": with(func(ctx context.Context, live channels, a *struct {
		whom
		Code   uint32 `json:"code"`
		Reason string `json:"reason"`
	}) (any, error) {
		if err := a.check(); err != nil {
			return nil, err
		}
		return done{}, live.Disconnect(ctx, a.whom, a.Code, a.Reason)
	}),
	"unsubscribe": with(func(ctx context.Context, live channels, a *struct {
		whom
		Channel string `json:"channel"`
	}) (any, error) {
		if err := a.check(); err != nil {
			return nil, err
		}
		return done{}, live.Unsubscribe(ctx, a.Channel, a.whom)
	}),
}

// with reads the members of a request.
func with[A any](serve func(context.Context, channels, *A) (any, error)) func(context.Context, channels, []byte) (any, error) {
	return func(ctx context.Context, live channels, body []byte) (any, error) {
		var a A
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, problem.New("HR6001", "request of a worker: %w", err)
		}
		return serve(ctx, live, &a)
	}
}

func (w whom) check() error {
	if w.User == "" && w.Client == "" {
		return problem.New("HR6001", "request of a worker: neither user nor client is named")
	}
	return nil
}
