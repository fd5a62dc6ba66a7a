package serverapi

import (
	"context"
	"encoding/json"
	"math"
	"slices"

	"github.com/headrace/headrace/internal/live"
	lived "github.com/headrace/headrace/internal/live/history"
)

// choice are the members that choose connections: all that are given must fit.
type choice struct {
	User    string `json:"user"`
	Client  string `json:"client"`
	Session string `json:"session"`

	LabelFilter json.RawMessage `json:"label_filter"`
	AllUsers    bool            `json:"all_users"`
}

// whom refuses what would choose more than was meant.
func (c *choice) whom(a *API) (live.Whom, error) {
	w := live.Whom{User: c.User, Client: c.Client}
	switch {
	case c.AllUsers || len(c.LabelFilter) > 0 && string(c.LabelFilter) != "null":
		return w, unavailable("connections have no labels, and are chosen by user, client or session")
	case c.Session != "":
		client := a.Live.ClientOf(c.Session)
		if client == "" || c.Client != "" && c.Client != client {
			client = c.Session // which is no client
		}
		w.Client = client
	case c.User == "" && c.Client == "":
		return w, bad("no user is named")
	}
	return w, nil
}

func subscribe(_ context.Context, a *API, r *struct {
	choice
	Channel      string          `json:"channel"`
	ExpireAt     int64           `json:"expire_at"`
	Info         json.RawMessage `json:"info"`
	B64Info      string          `json:"b64info"`
	Data         json.RawMessage `json:"data"`
	B64Data      string          `json:"b64data"`
	RecoverSince *position       `json:"recover_since"`
	Override     map[string]any  `json:"override"`
}) (any, error) {
	if r.Channel == "" {
		return nil, bad("no channel is named")
	}
	whom, err := r.whom(a)
	if err != nil {
		return nil, err
	}
	if len(r.Override) > 0 {
		return nil, unavailable("the options of a channel are those of its namespace and cannot be overridden")
	}
	if r.ExpireAt < 0 {
		return nil, bad("expire_at is %d", r.ExpireAt)
	}
	o := live.SubscribeOptions{ExpireAt: r.ExpireAt}
	if o.Info, err = either("info", r.Info, r.B64Info); err != nil {
		return nil, err
	}
	if o.Data, err = either("data", r.Data, r.B64Data); err != nil {
		return nil, err
	}
	if r.RecoverSince != nil {
		o.Since = lived.Position(*r.RecoverSince)
	}
	_, err = a.Live.Subscribe(r.Channel, whom, o)
	return empty{}, err
}

func unsubscribe(_ context.Context, a *API, r *struct {
	choice
	Channel string `json:"channel"`
}) (any, error) {
	whom, err := r.whom(a)
	if err != nil {
		return nil, err
	}
	if r.Channel == "" {
		return nil, bad("no channel is named")
	}
	if err := a.Live.Known(r.Channel); err != nil {
		return nil, err
	}
	a.Live.Unsubscribe(r.Channel, whom)
	return empty{}, nil
}

const longestReason = 123 // bytes; the close frame of a WebSocket holds no more

func disconnect(_ context.Context, a *API, r *struct {
	choice
	Whitelist  []string `json:"whitelist"`
	Disconnect struct {
		Code   uint32 `json:"code"`
		Reason string `json:"reason"`
	} `json:"disconnect"`
}) (any, error) {
	whom, err := r.whom(a)
	if err != nil {
		return nil, err
	}
	d := live.Disconnect{Code: r.Disconnect.Code, Reason: r.Disconnect.Reason}
	switch {
	case d.Code != 0 && (d.Code < 3000 || d.Code > 4999):
		return nil, bad("the code %d is not one from 3000 to 4999", d.Code)
	case len(d.Reason) > longestReason:
		return nil, bad("the reason has %d bytes, at most %d are told", len(d.Reason), longestReason)
	case d.Code == 0 && d.Reason != "":
		d.Code = live.DisconnectForce.Code
	}
	if len(r.Whitelist) == 0 {
		a.Live.Disconnect(whom, d, "")
		return empty{}, nil
	}
	if whom.Client != "" {
		if !slices.Contains(r.Whitelist, whom.Client) {
			a.Live.Disconnect(whom, d, "")
		}
		return empty{}, nil
	}
	for _, c := range a.Live.Connections(whom.User, math.MaxInt) {
		if !slices.Contains(r.Whitelist, c.Client) {
			a.Live.Disconnect(live.Whom{User: whom.User, Client: c.Client}, d, "")
		}
	}
	return empty{}, nil
}

func refresh(_ context.Context, a *API, r *struct {
	choice
	Expired  bool            `json:"expired"`
	ExpireAt int64           `json:"expire_at"`
	Info     json.RawMessage `json:"info"`
}) (any, error) {
	whom, err := r.whom(a)
	switch {
	case err != nil:
		return nil, err
	case len(r.Info) > 0 && string(r.Info) != "null":
		return nil, unavailable("what is told of a connection does not change while it is open")
	case r.ExpireAt < 0:
		return nil, bad("expire_at is %d", r.ExpireAt)
	}
	a.Live.Refresh(whom, r.ExpireAt, r.Expired)
	return empty{}, nil
}
