package serverapi

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"

	"github.com/headrace/headrace/internal/live"
)

// publication are the members of publish and broadcast. Whether differences are sent is an option of the namespace, so delta changes nothing.
type publication struct {
	Data           json.RawMessage   `json:"data"`
	B64Data        string            `json:"b64data"`
	SkipHistory    bool              `json:"skip_history"`
	Tags           map[string]string `json:"tags"`
	IdempotencyKey string            `json:"idempotency_key"`
	Delta          bool              `json:"delta"`
	Version        uint64            `json:"version"`
	VersionEpoch   string            `json:"version_epoch"`
}

func (p *publication) options() live.PublishOptions {
	return live.PublishOptions{Tags: p.Tags, IdempotencyKey: p.IdempotencyKey, Version: p.Version, VersionEpoch: p.VersionEpoch, SkipHistory: p.SkipHistory}
}

type position struct {
	Offset uint64 `json:"offset,omitempty"`
	Epoch  string `json:"epoch,omitempty"`
}

func publish(ctx context.Context, a *API, r *struct {
	Channel string `json:"channel"`
	publication
}) (any, error) {
	if r.Channel == "" {
		return nil, bad("no channel is named")
	}
	data, err := either("data", r.Data, r.B64Data)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, bad("there is no data")
	}
	result, err := a.Live.Publish(ctx, r.Channel, data, r.options())
	if err != nil {
		return nil, err
	}
	return position{result.Offset, result.Epoch}, nil
}

func broadcast(ctx context.Context, a *API, r *struct {
	Channels []string `json:"channels"`
	publication
}) (any, error) {
	if len(r.Channels) == 0 {
		return nil, bad("no channels are named")
	}
	data, err := either("data", r.Data, r.B64Data)
	if err != nil {
		return nil, err
	}
	if len(data) == 0 {
		return nil, bad("there is no data")
	}
	results, failed := a.Live.Broadcast(ctx, r.Channels, data, r.options())
	responses := make([]Answer, len(results))
	for i, result := range results {
		responses[i] = a.answer(ctx, "broadcast", func(context.Context, *API) (any, error) {
			if r.Channels[i] == "" {
				return nil, bad("the name of channel %d is empty", i)
			}
			return position{result.Offset, result.Epoch}, failed[i]
		})
	}
	return map[string]any{"responses": responses}, nil
}

// either is the JSON of one member without white space, since clients get it in lines, or the bytes that another one holds in base64.
func either(name string, text json.RawMessage, encoded string) ([]byte, error) {
	if encoded != "" {
		data, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			return nil, bad("b64%s is not base64", name)
		}
		return data, nil
	}
	if len(text) == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return nil, bad("%s is not JSON", name)
	}
	return b.Bytes(), nil
}
