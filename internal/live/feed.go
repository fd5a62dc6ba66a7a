package live

import (
	"context"
	"sync"
	"time"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/live/fanout"
)

// feeds follow the channels of sources for as long as they have subscribers.
type feeds struct {
	live *Live
	mu   sync.Mutex
	all  map[string]*feed
}

type feed struct{ cancel context.CancelFunc }

// feedRest is how long a channel rests that could not be followed, before its clients come back to it.
const feedRest = time.Second

// follow begins to follow a channel behind an offset, unless that is done already.
func (f *feeds) follow(source Source, channel, id string, since uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all[channel] != nil || f.live.running.Err() != nil {
		return
	}
	ctx, cancel := context.WithCancel(f.live.running)
	if f.all == nil {
		f.all = map[string]*feed{}
	}
	me := &feed{cancel}
	f.all[channel] = me
	f.live.tasks.Go(func() {
		err := source.Follow(ctx, id, since, func(p *protocol.Publication) {
			f.live.hub.Publish(channel, &fanout.Item{Publication: p, At: f.live.now()})
		})
		if err == nil || ctx.Err() != nil {
			f.end(channel, me)
			return
		}
		f.live.Log.Warn("channel cannot be followed, its clients subscribe again", "channel", channel, "error", err)
		select {
		case <-time.After(feedRest):
		case <-ctx.Done():
		}
		f.end(channel, me)
		if c := f.live.hub.Channel(channel); c != nil {
			f.live.resync(c)
		}
	})
}

// end forgets that a channel is followed, so that who subscribes next follows it again: there may be more by then.
func (f *feeds) end(channel string, me *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	me.cancel()
	if f.all[channel] == me {
		delete(f.all, channel)
	}
}

// release ends following a channel without subscribers.
func (f *feeds) release(channel string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if me := f.all[channel]; me != nil && f.live.hub.Channel(channel) == nil {
		me.cancel()
		delete(f.all, channel)
	}
}
