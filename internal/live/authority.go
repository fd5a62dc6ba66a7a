package live

import (
	"context"
	"encoding/json"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/identity"
	"github.com/headrace/headrace/internal/live/history"
)

// Authority is the app: its functions decide what clients may do where they are declared to, and answer their calls. Spec/frame.md section 11
// has the requests and answers of Ask.
type Authority interface {
	// Handles tells whether a function answers the event (connect, subscribe, publish) of a channel. It is cheap.
	Handles(event, channel string) bool
	// Ask returns the function's answer. After an error the client is refused.
	Ask(ctx context.Context, event string, request any) (answer []byte, err error)
	// Call runs a function for a client, or for the server API, whose caller is nobody. A *Failure or *Disconnect is what the client is told; of other
	// errors it is told what rpcFailure says.
	Call(ctx context.Context, function string, args []byte, caller identity.Caller) ([]byte, error)
}

// Source has the channels of a namespace that clients can only read, such as job:<id>. id is the part of a channel's name behind the colon.
// Publications have offsets 1, 2, 3… and are not changed after they were handed out.
type Source interface {
	// Namespace is the part before the colon.
	Namespace() string
	// Allow is an error if the subscription token does not open the channel; a *Failure is told to the client, anything else is permission
	// denied.
	Allow(id, token string) error
	// Read returns the publications behind an offset, in order, and the latest position.
	Read(ctx context.Context, id string, since uint64) ([]*protocol.Publication, history.Position, error)
	// Follow delivers the publications behind an offset as they come, in order. It returns when the context ends or nothing can follow.
	Follow(ctx context.Context, id string, since uint64, deliver func(*protocol.Publication)) error
}

// The requests of Ask.
type (
	connectRequest struct {
		Client    string            `json:"client"`
		User      string            `json:"user,omitempty"`
		Transport string            `json:"transport"`
		Protocol  string            `json:"protocol"`
		Name      string            `json:"name,omitempty"`
		Version   string            `json:"version,omitempty"`
		Data      json.RawMessage   `json:"data,omitempty"`
		Headers   map[string]string `json:"headers,omitempty"`
		Claims    json.RawMessage   `json:"claims,omitempty"`
	}
	channelRequest struct {
		Client  string            `json:"client"`
		User    string            `json:"user,omitempty"`
		Channel string            `json:"channel"`
		Data    json.RawMessage   `json:"data,omitempty"`
		Info    json.RawMessage   `json:"info,omitempty"`
		Claims  json.RawMessage   `json:"claims,omitempty"`
		Key     string            `json:"key,omitempty"`
		Tags    map[string]string `json:"tags,omitempty"`
	}
)

// answer is what a function may say; which members matter depends on the event.
type answer struct {
	Error *struct {
		Code      uint32 `json:"code"`
		Message   string `json:"message"`
		Temporary bool   `json:"temporary"`
	} `json:"error"`
	Disconnect *struct {
		Code   uint32 `json:"code"`
		Reason string `json:"reason"`
	} `json:"disconnect"`
	User     string            `json:"user"`
	Info     json.RawMessage   `json:"info"`
	Data     json.RawMessage   `json:"data"`
	Channels []string          `json:"channels"`
	Subs     map[string]answer `json:"subs"`
	ExpireAt int64             `json:"expire_at"`
}

// ask returns the answer of the function that handles an event. The error is a *Failure or a *Disconnect.
func (l *Live) ask(event string, request any) (*answer, error) {
	text, err := l.Authority.Ask(l.running, event, request)
	if err != nil {
		l.Log.Warn("live function failed", "event", event, "error", err)
		return nil, ErrInternal
	}
	a := &answer{}
	if len(text) > 0 {
		if err := json.Unmarshal(text, a); err != nil {
			l.Log.Warn("live function gave no answer", "event", event, "error", err)
			return nil, ErrInternal
		}
	}
	if err := a.refusal(); err != nil {
		return nil, err
	}
	return a, nil
}

// refusal is what the client is told instead of what it wanted: a *Disconnect or a *Failure; nil if the answer has none.
func (a *answer) refusal() error {
	switch {
	case a.Disconnect != nil:
		return &Disconnect{a.Disconnect.Code, cutReason(a.Disconnect.Reason)}
	case a.Error != nil:
		return &Failure{a.Error.Code, a.Error.Message, a.Error.Temporary}
	}
	return nil
}

// Refusal reads a refusal out of an answer of spec/frame.md section 11: a *Disconnect, a *Failure, or nil if there is none.
func Refusal(text []byte) error {
	a := &answer{}
	if json.Unmarshal(text, a) != nil {
		return nil
	}
	return a.refusal()
}

func (l *Live) handles(event, channel string) bool {
	return l.Authority != nil && l.Authority.Handles(event, channel)
}

func cutReason(reason string) string { return reason[:min(len(reason), longestReason)] }
