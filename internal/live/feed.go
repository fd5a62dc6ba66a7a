package live

import (
	"context"
	"sync"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
)

// feeds follow the channels of sources for as long as they have subscribers.
type feeds struct {
	live *Live
	mu   sync.Mutex
	all  map[string]context.CancelFunc
}

// follow begins to follow a channel behind an offset, unless that is done already.
func (f *feeds) follow(source Source, channel, id string, since uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[channel] != nil || f.live.running.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(f.live.running)
	if f.all == nil {
		f.all = map[string]context.CancelFunc{}
	}
	f.all[channel] = cancel
	f.live.tasks.Go(func() {
		err := source.Follow(ctx, id, since, func(p *protocol.Publication) {
			f.live.hub.Publish(channel, &fanout.Item{Publication: p, At: f.live.now()})
		})
		if err != nil && ctx.Err() == nil {
			f.live.Log.Warn("channel cannot be followed", "channel", channel, "error", err)
		}
	})
}

// release ends following a channel without subscribers.
func (f *feeds) release(channel string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cancel := f.all[channel]; cancel != nil && f.live.hub.Channel(channel) == nil {
		cancel()
		delete(f.all, channel)
	}
}
