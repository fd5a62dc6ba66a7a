package control

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/exchange"
	"github.com/headrace/headrace/internal/live"
	"github.com/headrace/headrace/internal/live/fanout"
	"github.com/headrace/headrace/internal/live/history"
	"github.com/headrace/headrace/internal/problem"
)

const mostHistory = 1000 // publications that a tail may begin with

// happening is what a tail tells of a channel.
type happening struct {
	Channel     string            `json:"channel"`
	At          string            `json:"at,omitempty"`
	Data        json.RawMessage   `json:"data,omitempty"`
	Binary      []byte            `json:"b64data,omitempty"` // instead of data that is no JSON
	Offset      uint64            `json:"offset,omitempty"`
	Key         string            `json:"key,omitempty"`
	Tags        map[string]string `json:"tags,omitempty"`
	Client      string            `json:"client,omitempty"`
	User        string            `json:"user,omitempty"`
	Info        json.RawMessage   `json:"info,omitempty"`
	ChannelInfo json.RawMessage   `json:"channel_info,omitempty"`
}

func (h *happening) from(i *protocol.ClientInfo) {
	if i == nil {
		return
	}
	h.Client, h.User = i.Client, i.User
	if json.Valid(i.ConnInfo) {
		h.Info = json.RawMessage(i.ConnInfo)
	}
	if json.Valid(i.ChanInfo) {
		h.ChannelInfo = json.RawMessage(i.ChanInfo)
	}
}

func published(channel string, p *protocol.Publication, at time.Time) happening {
	h := happening{Channel: channel, Offset: p.Offset, Key: p.Key, Tags: p.Tags}
	if p.Time > 0 {
		at = time.UnixMilli(p.Time)
	}
	if !at.IsZero() {
		h.At = stamp(at)
	}
	if h.from(p.Info); json.Valid(p.Data) {
		h.Data = json.RawMessage(p.Data)
	} else {
		h.Binary = p.Data
	}
	return h
}

// liveTail tells what happens in channels as server-sent events: open, publication, join, leave, and missed where the client is too slow.
func (s *Server) liveTail(r *exchange.Request) error {
	q, err := query(r, "channel", "history")
	if err != nil {
		return err
	}
	channel, kept := q["channel"], 0
	all := strings.Contains(channel, "*")
	if channel == "" {
		return problem.New("HR2019", "no channel is named").At("channel").Hinting("add ?channel=chat:room, or ?channel=chat:* for all of them")
	}
	if !all {
		if err := s.Live.Known(channel); err != nil {
			return err
		}
	}
	if text := q["history"]; text != "" {
		if kept, err = strconv.Atoi(text); err != nil || kept < 0 || kept > mostHistory || all {
			return problem.New("HR2019", "history %.40q is not a number from 0 to %d for a single channel", text, mostHistory).At("history").
				Hinting("leave it out, or name one channel")
		}
	}
	if kept > 0 { // refuse now what cannot be read
		if _, _, err := s.Live.History(r.Running(), channel, history.Filter{}); err != nil {
			return err
		}
	}
	log := r.Log()
	r.EventStream(func(ctx context.Context, send func(kind string, data []byte) error) {
		f := &follower{live: s.Live, channel: channel, send: send}
		if err := f.run(ctx, kept); err != nil && ctx.Err() == nil {
			log.Debug("tail ended early", "channel", channel, "error", err)
		}
	})
	return nil
}

// follower tells one client.
type follower struct {
	live    *live.Live
	channel string
	send    func(kind string, data []byte) error
	last    uint64 // offset of the last publication that was told already, of those up to top
	top     uint64
}

// run tells the last publications of a history, and what comes after them.
func (f *follower) run(ctx context.Context, kept int) error {
	tail := f.live.Tail(f.channel)
	defer tail.Close()
	if err := f.tell("open", happening{Channel: f.channel}); err != nil {
		return err
	}
	if kept > 0 {
		if err := f.remember(ctx, kept); err != nil {
			return err
		}
	}
	for {
		items, missed, err := tail.Next(ctx)
		if err != nil {
			return err
		}
		for _, i := range items {
			if err := f.item(i); err != nil {
				return err
			}
		}
		if missed > 0 {
			if err := f.tell("missed", map[string]uint64{"count": missed}); err != nil {
				return err
			}
		}
	}
}

func (f *follower) remember(ctx context.Context, n int) error {
	found, top, err := f.live.History(ctx, f.channel, history.Filter{Limit: n, Reverse: true})
	if err != nil {
		return err
	}
	f.top = top.Offset
	for _, p := range slices.Backward(found) {
		if err := f.tell("publication", published(f.channel, p, time.Time{})); err != nil {
			return err
		}
	}
	return nil
}

func (f *follower) item(i live.Tailed) error {
	h := happening{Channel: i.Channel, At: stamp(i.At)}
	switch i.Kind {
	case fanout.Publication:
		if n := i.Offset(); n > f.last && n <= f.top { // it was among those that were kept
			f.last = n
			return nil
		} else if n > 0 {
			f.top = 0
		}
		return f.tell("publication", published(i.Channel, i.Publication, i.At))
	case fanout.Join:
		h.from(i.Info)
		return f.tell("join", h)
	default:
		h.from(i.Info)
		return f.tell("leave", h)
	}
}

func (f *follower) tell(kind string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return f.send(kind, data)
}
