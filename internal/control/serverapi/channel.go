package serverapi

import (
	"context"
	"encoding/json"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/identity"
	lived "github.com/headrace/headrace/internal/live/history"
)

// inChannel is the request of commands about one channel.
type inChannel struct {
	Channel string `json:"channel"`
}

func (r *inChannel) named() error {
	if r.Channel == "" {
		return bad("no channel is named")
	}
	return nil
}

// client is one who is in a channel, or who published.
type client struct {
	User        string          `json:"user"`
	Client      string          `json:"client"`
	Info        json.RawMessage `json:"conn_info,omitempty"`
	ChannelInfo json.RawMessage `json:"chan_info,omitempty"`
}

func clientOf(i *protocol.ClientInfo) *client {
	if i == nil {
		return nil
	}
	return &client{i.User, i.Client, valid(i.ConnInfo), valid(i.ChanInfo)}
}

// valid is nil for bytes that are no JSON.
func valid(data []byte) json.RawMessage {
	if !json.Valid(data) {
		return nil
	}
	return data
}

func presence(_ context.Context, a *API, r *inChannel) (any, error) {
	if err := r.named(); err != nil {
		return nil, err
	}
	all, err := a.Live.Presence(r.Channel)
	if err != nil {
		return nil, err
	}
	told := make(map[string]*client, len(all))
	for id, one := range all {
		told[id] = clientOf(one)
	}
	return map[string]any{"presence": told}, nil
}

func presenceStats(_ context.Context, a *API, r *inChannel) (any, error) {
	if err := r.named(); err != nil {
		return nil, err
	}
	clients, users, err := a.Live.PresenceStats(r.Channel)
	return map[string]int{"num_clients": clients, "num_users": users}, err
}

// published is a publication of a history. Data that is no JSON is null and comes in base64.
type published struct {
	Data    json.RawMessage   `json:"data"`
	B64Data []byte            `json:"b64data,omitempty"`
	Info    *client           `json:"info,omitempty"`
	Offset  uint64            `json:"offset"`
	Tags    map[string]string `json:"tags,omitempty"`
}

func history(ctx context.Context, a *API, r *struct {
	inChannel
	Limit   int       `json:"limit"`
	Since   *position `json:"since"`
	Reverse bool      `json:"reverse"`
}) (any, error) {
	if err := r.named(); err != nil {
		return nil, err
	}
	if r.Reverse && r.Since != nil && r.Since.Offset == 0 {
		return nil, bad("nothing is before the offset 0")
	}
	found, top, err := a.Live.History(ctx, r.Channel, lived.Filter{Limit: r.Limit, Since: (*lived.Position)(r.Since), Reverse: r.Reverse})
	if err != nil {
		return nil, err
	}
	told := make([]published, len(found))
	for i, p := range found {
		told[i] = published{Data: valid(p.Data), Info: clientOf(p.Info), Offset: p.Offset, Tags: p.Tags}
		if told[i].Data == nil {
			told[i].B64Data = p.Data
		}
	}
	return struct {
		Publications []published `json:"publications"`
		Offset       uint64      `json:"offset"`
		Epoch        string      `json:"epoch"`
	}{told, top.Offset, top.Epoch}, nil
}

func historyRemove(ctx context.Context, a *API, r *inChannel) (any, error) {
	if err := r.named(); err != nil {
		return nil, err
	}
	return empty{}, a.Live.RemoveHistory(ctx, r.Channel)
}

func channels(_ context.Context, a *API, r *struct {
	Pattern string `json:"pattern"`
}) (any, error) {
	type count struct {
		Clients int `json:"num_clients"`
	}
	all := map[string]count{}
	for _, c := range a.Live.Channels(r.Pattern) {
		all[c.Name] = count{c.Subscribers}
	}
	return map[string]any{"channels": all}, nil
}

func info(_ context.Context, a *API, _ *empty) (any, error) {
	i := a.Live.Info()
	node := struct {
		UID           string `json:"uid"`
		Name          string `json:"name"`
		Clients       int    `json:"num_clients"`
		Users         int    `json:"num_users"`
		Subscriptions int    `json:"num_subs"`
		Channels      int    `json:"num_channels"`
		Uptime        int    `json:"uptime"` // seconds
	}{i.Node, a.Node, i.Connections, i.Users, i.Subscriptions, i.Channels, int(i.Uptime.Seconds())}
	return map[string]any{"nodes": []any{node}}, nil
}

// rpc calls a function of the app; params are its arguments by name.
func rpc(ctx context.Context, a *API, r *struct {
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
}) (any, error) {
	if r.Method == "" {
		return nil, bad("no method is named")
	}
	if a.Live.Authority == nil {
		return nil, unavailable("there are no functions")
	}
	data, err := a.Live.Authority.Call(ctx, r.Method, r.Params, identity.Caller{})
	if err != nil {
		return nil, called(err)
	}
	return map[string]json.RawMessage{"data": data}, nil
}
