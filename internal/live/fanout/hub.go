package fanout

import (
	"errors"
	"hash/maphash"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
)

// ErrFull is the answer of Subscribe where a channel has its most subscribers.
var ErrFull = errors.New("channel has its most subscribers")

// Hub holds the channels that have subscribers.
type Hub struct {
	delivered func(items []*Item, taken int)
	turns     *turns
	taps      taps
	seed      maphash.Seed
	buckets   [64]bucket
	channels  atomic.Int64
	subs      atomic.Int64
}

type bucket struct {
	mu sync.RWMutex
	m  map[string]*Channel
}

// NewHub returns a hub; delivered is told after each turn what was given, and how many items were taken by subscribers.
func NewHub(delivered func(items []*Item, taken int)) *Hub {
	h := &Hub{delivered: delivered, turns: newTurns(runtime.GOMAXPROCS(0)), seed: maphash.MakeSeed()}
	for i := range h.buckets {
		h.buckets[i].m = map[string]*Channel{}
	}
	return h
}

// Stop ends the hub's goroutines once nothing is pending.
func (h *Hub) Stop() { h.turns.stop() }

// Len is the number of channels and of subscriptions.
func (h *Hub) Len() (channels, subscriptions int) { return int(h.channels.Load()), int(h.subs.Load()) }

func (h *Hub) bucket(name string) *bucket {
	return &h.buckets[maphash.String(h.seed, name)%uint64(len(h.buckets))]
}

// Channel is a channel by name, nil if it has no subscribers.
func (h *Hub) Channel(name string) *Channel {
	b := h.bucket(name)
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.m[name]
}

// Each calls f with each channel.
func (h *Hub) Each(f func(*Channel)) {
	for i := range h.buckets {
		b := &h.buckets[i]
		b.mu.RLock()
		all := make([]*Channel, 0, len(b.m))
		for _, c := range b.m {
			all = append(all, c)
		}
		b.mu.RUnlock()
		for _, c := range all {
			f(c)
		}
	}
}

// Subscribe adds a subscriber, which gets every item from now on. The name is copied when it is kept. ErrFull if there are already most
// subscribers, 0 being no limit.
func (h *Hub) Subscribe(name string, r Receiver, flags Flags, extra *Extra, most int) (*Subscription, error) {
	b := h.bucket(name)
	b.mu.Lock()
	c := b.m[name]
	if c == nil {
		c = newChannel(h, strings.Clone(name))
		b.m[c.Name] = c
		h.channels.Add(1)
	}
	c.refs++
	b.mu.Unlock()
	p := c.reserve(most)
	if p == nil {
		h.release(c)
		return nil, ErrFull
	}
	s := &Subscription{Receiver: r, Channel: c, flags: flags, Extra: extra}
	c.add(p, s)
	h.subs.Add(1)
	return s, nil
}

// Unsubscribe removes a subscriber; last tells that the channel has no other.
func (h *Hub) Unsubscribe(s *Subscription) (last bool) {
	s.Channel.remove(s)
	h.subs.Add(-1)
	return h.release(s.Channel)
}

func (h *Hub) release(c *Channel) bool {
	b := h.bucket(c.Name)
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.refs--; c.refs > 0 {
		return false
	}
	delete(b.m, c.Name)
	h.channels.Add(-1)
	return true
}

// Publish brings an item to the subscribers of a channel. Items of one channel arrive in the order of the calls; it waits where subscribers
// are far behind. It is false if offsets show that publications before the item did not come.
func (h *Hub) Publish(name string, i *Item) (whole bool) {
	h.taps.tell(name, i)
	c := h.Channel(name)
	return c == nil || c.publish(i)
}
