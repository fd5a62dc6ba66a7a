package control

import (
	"bytes"
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/exchange/strictjson"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/problem"
)

// channelShown is a channel as the API shows it.
type channelShown struct {
	Name        string `json:"name"`
	Subscribers int    `json:"subscribers"`
}

func (s *Server) liveChannels(r *exchange.Request) error {
	q, err := query(r, "pattern", "limit")
	if err != nil {
		return err
	}
	limit, err := most(q["limit"], 1000, 100_000)
	if err != nil {
		return err
	}
	all := s.Live.Channels(q["pattern"])
	list := make([]channelShown, 0, min(len(all), limit))
	for _, c := range all[:min(len(all), limit)] {
		list = append(list, channelShown{c.Name, c.Subscribers})
	}
	return encode(r, map[string]any{"channels": list, "total": len(all)})
}

// connectionShown is a connection as the API shows it.
type connectionShown struct {
	Client    string          `json:"client"`
	User      string          `json:"user"`
	Transport string          `json:"transport"`
	Protocol  string          `json:"protocol"`
	Address   string          `json:"address"`
	Info      json.RawMessage `json:"info,omitempty"`
	Channels  []string        `json:"channels"`
	Queued    int             `json:"queued"`
}

func (s *Server) liveConnections(r *exchange.Request) error {
	q, err := query(r, "user", "limit")
	if err != nil {
		return err
	}
	limit, err := most(q["limit"], 100, 10_000)
	if err != nil {
		return err
	}
	all := s.Live.Connections(q["user"], limit+1)
	more := len(all) > limit
	list := make([]connectionShown, 0, limit)
	for _, c := range all[:min(len(all), limit)] {
		shown := connectionShown{c.Client, c.User, c.Transport, c.Protocol, c.Address, c.Info, c.Channels, c.Queued}
		if !json.Valid(shown.Info) {
			shown.Info = nil
		}
		if shown.Channels == nil {
			shown.Channels = []string{}
		}
		list = append(list, shown)
	}
	return encode(r, map[string]any{"connections": list, "more": more})
}

func (s *Server) livePublish(r *exchange.Request) error {
	var asked struct {
		Channel        string            `json:"channel"`
		Data           json.RawMessage   `json:"data"`
		Key            string            `json:"key"`
		Tags           map[string]string `json:"tags"`
		IdempotencyKey string            `json:"idempotency_key"`
		Version        uint64            `json:"version"`
		VersionEpoch   string            `json:"version_epoch"`
		SkipHistory    bool              `json:"skip_history"`
	}
	if err := s.request(r, &asked); err != nil {
		return err
	}
	var data bytes.Buffer
	if len(asked.Data) > 0 {
		if err := json.Compact(&data, asked.Data); err != nil { // clients get it in lines
			return err
		}
	}
	ctx, cancel := context.WithTimeout(r.Running(), commandTime)
	defer cancel()
	result, err := s.Live.Publish(ctx, asked.Channel, data.Bytes(), live.PublishOptions{Key: asked.Key, Tags: asked.Tags,
		IdempotencyKey: asked.IdempotencyKey, Version: asked.Version, VersionEpoch: asked.VersionEpoch, SkipHistory: asked.SkipHistory})
	if err != nil {
		return err
	}
	return encode(r, struct {
		Offset  uint64 `json:"offset,omitempty"`
		Epoch   string `json:"epoch,omitempty"`
		Skipped bool   `json:"skipped,omitempty"`
	}{result.Offset, result.Epoch, result.Skipped})
}

func (s *Server) liveDisconnect(r *exchange.Request) error {
	var asked struct {
		User   string `json:"user"`
		Client string `json:"client"`
		Code   uint32 `json:"code"`
		Reason string `json:"reason"`
	}
	if err := s.request(r, &asked); err != nil {
		return err
	}
	switch {
	case asked.User == "" && asked.Client == "":
		return problem.New("HR3019", "neither user nor client is named").Hinting("name one of them, or both")
	case asked.Code != 0 && (asked.Code < 3000 || asked.Code > 4999):
		return problem.New("HR3019", "the code %d is not one from 3000 to 4999", asked.Code).At("/code").
			Hinting("use 4000 to 4499 to let the client come back, 4500 to 4999 to keep it away")
	case len(asked.Reason) > 123:
		return problem.New("HR3019", "the reason has %d bytes", len(asked.Reason)).At("/reason").Hinting("use at most 123")
	}
	d := live.Disconnect{Code: asked.Code, Reason: asked.Reason}
	if d.Code == 0 && d.Reason != "" {
		d.Code = live.DisconnectForce.Code
	}
	n := s.Live.Disconnect(live.Whom{User: asked.User, Client: asked.Client}, d, "")
	return encode(r, map[string]int{"disconnected": n})
}

// request reads the body of a request about live channels: HR3019.
func (s *Server) request(r *exchange.Request, v any) error { return s.decode(r, "HR3019", v) }

// decode reads the body into v, whose members are all there are, or tells so with the code.
func (s *Server) decode(r *exchange.Request, code string, v any) error {
	body, err := r.Body(int64(s.Config.Server.MaxJSON))
	if err != nil {
		return err
	}
	if err := strictjson.Check(body, s.depth); err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return problem.New(code, "%w", err)
	}
	return nil
}

// query is the query of the request, which may have these names only: HR2019.
func query(r *exchange.Request, names ...string) (map[string]string, error) {
	values := map[string]string{}
	for name, value := range r.QueryArgs().All() {
		known := false
		for _, one := range names {
			known = known || one == string(name)
		}
		if !known {
			return nil, problem.New("HR2019", "there is no parameter %.40q", name).At(string(name)).Hinting("see GET /openapi.yaml")
		}
		values[string(name)] = string(value)
	}
	return values, nil
}

// most is a number from 1 to limit, or the standard where there is none.
func most(text string, standard, limit int) (int, error) {
	if text == "" {
		return standard, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > limit {
		return 0, problem.New("HR2019", "limit %.40q is not a number from 1 to %d", text, limit).At("limit").Hinting("leave it out, or write such a number")
	}
	return n, nil
}

// stamp is a time as events tell it.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }
