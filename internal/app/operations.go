package app

import (
	"context"
	"encoding/json"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers/frame"
)

// operations answers what functions ask of live channels; spec/frame.md section 7. It implements jobs.Operations.
type operations struct{ live *live.Live } // nil while the live plane is off

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
	encoded, err := json.Marshal(answer)
	if err == nil && len(encoded) > frame.MaxBody-1024 {
		return nil, problem.New("HR6006", "the answer of %s has %d bytes, a frame holds %d", op, len(encoded), frame.MaxBody).Hinting("ask for less")
	}
	return encoded, err
}

// served are the operations by name.
var served = map[string]func(context.Context, *live.Live, []byte) (any, error){
	"publish": with(func(ctx context.Context, l *live.Live, a *struct {
		Channel string `json:"channel"`
		publishing
	}) (any, error) {
		result, err := l.Publish(ctx, a.Channel, a.Data, a.options())
		return position{result.Offset, result.Epoch}, err
	}),
	"broadcast": with(func(ctx context.Context, l *live.Live, a *struct {
		Channels []string `json:"channels"`
		publishing
	}) (any, error) {
		results, failed := l.Broadcast(ctx, a.Channels, a.Data, a.options())
		positions := make([]position, len(results))
		for i, r := range results {
			if failed[i] != nil {
				p := problem.From(failed[i])
				return nil, problem.New(p.Code, "channel %.300q: %s", a.Channels[i], p.What).Hinting("%s", p.Hint)
			}
			positions[i] = position{r.Offset, r.Epoch}
		}
		return struct {
			Positions []position `json:"positions"`
		}{positions}, nil
	}),
	"presence": with(func(_ context.Context, l *live.Live, a *struct {
		Channel string `json:"channel"`
	}) (any, error) {
		there, err := l.Presence(a.Channel)
		members := make([]member, 0, len(there))
		for _, one := range there {
			members = append(members, member{one.Client, one.User, valid(one.ConnInfo), valid(one.ChanInfo)})
		}
		return struct {
			Members []member `json:"members"`
		}{members}, err
	}),
	"history": with(func(ctx context.Context, l *live.Live, a *struct {
		Channel string    `json:"channel"`
		Limit   int       `json:"limit"`
		Since   *position `json:"since"`
		Reverse bool      `json:"reverse"`
	}) (any, error) {
		found, latest, err := l.History(ctx, a.Channel, history.Filter{Limit: a.Limit, Since: (*history.Position)(a.Since), Reverse: a.Reverse})
		publications := make([]publication, len(found))
		for i, p := range found {
			publications[i] = publicationOf(p)
		}
		return struct {
			Publications []publication `json:"publications"`
			position
		}{publications, position(latest)}, err
	}),
	"disconnect": with(func(_ context.Context, l *live.Live, a *struct {
		whom
		Code   uint32 `json:"code"`
		Reason string `json:"reason"`
	}) (any, error) {
		who, err := a.choice()
		if err == nil {
			l.Disconnect(who, live.Disconnect{Code: a.Code, Reason: a.Reason}, "")
		}
		return struct{}{}, err
	}),
	"unsubscribe": with(func(_ context.Context, l *live.Live, a *struct {
		whom
		Channel string `json:"channel"`
	}) (any, error) {
		who, err := a.choice()
		if err == nil && a.Channel == "" { // it would mean all channels
			err = problem.New("HR3010", "no channel is named")
		}
		if err == nil {
			l.Unsubscribe(a.Channel, who)
		}
		return struct{}{}, err
	}),
}

// with reads the members of a request.
func with[A any](serve func(context.Context, *live.Live, *A) (any, error)) func(context.Context, *live.Live, []byte) (any, error) {
	return func(ctx context.Context, l *live.Live, body []byte) (any, error) {
		var a A
		if err := json.Unmarshal(body, &a); err != nil {
			return nil, problem.New("HR6001", "request of a worker: %w", err)
		}
		return serve(ctx, l, &a)
	}
}

// publishing are the members of publish and broadcast.
type publishing struct {
	Data           json.RawMessage   `json:"data"`
	Key            string            `json:"key"`
	IdempotencyKey string            `json:"idempotency_key"`
	Tags           map[string]string `json:"tags"`
	Version        uint64            `json:"version"`
	VersionEpoch   string            `json:"version_epoch"`
}

func (p *publishing) options() live.PublishOptions {
	return live.PublishOptions{Key: p.Key, Tags: p.Tags, IdempotencyKey: p.IdempotencyKey, Version: p.Version, VersionEpoch: p.VersionEpoch}
}

type position struct {
	Offset uint64 `json:"offset,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
}

type member struct {
	Client      string          `json:"client"`
	User        string          `json:"user,omitempty"`
	Info        json.RawMessage `json:"info,omitempty"`
	ChannelInfo json.RawMessage `json:"channel_info,omitempty"`
}

type publication struct {
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

func publicationOf(p *protocol.Publication) publication {
	told := publication{Data: valid(p.Data), Offset: p.Offset, Time: p.Time, Tags: p.Tags, Key: p.Key}
	if told.Data == nil {
		told.Binary = p.Data
	}
	if p.Info != nil {
		told.Client, told.User, told.Info = p.Info.Client, p.Info.User, valid(p.Info.ConnInfo)
	}
	return told
}

// valid is nil for bytes that are no JSON.
func valid(data []byte) json.RawMessage {
	if !json.Valid(data) {
		return nil
	}
	return data
}

// whom are the members that choose connections.
type whom struct {
	User   string `json:"user"`
	Client string `json:"client"`
}

func (w whom) choice() (live.Whom, error) {
	if w.User == "" && w.Client == "" {
		return live.Whom{}, problem.New("HR6001", "request of a worker: neither user nor client is named")
	}
	return live.Whom(w), nil
}
