package fanout

import "sync"

const (
	partSize   = 256       // subscribers that share a lock and a turn
	inline     = 8         // a channel with fewer subscribers is served by whoever publishes
	roundSize  = 128 << 10 // bytes of one batch, about
	mostBehind = 8 << 20   // bytes that may be pending for a part before publishers wait
)

// Channel is a channel that has subscribers.
type Channel struct {
	Name string

	hub  *Hub
	refs int // subscriptions there are or are being made; guarded by the bucket

	mu      sync.Mutex
	seq     uint64
	offset  uint64 // of the latest publication
	count   int
	parts   []*part
	free    int    // where to look first for a part with room
	last    []byte // data of the latest publication, where differences are made
	room    *sync.Cond
	waiting int
	first   part // most channels have no other
}

// part is some of the subscribers of a channel.
type part struct {
	channel *Channel
	pending []*Item // guarded by the channel's lock, like the three below
	behind  int     // bytes of pending
	count   int
	queued  bool // waits for its turn, or has it

	mu   sync.Mutex // held for the length of a turn
	subs []*Subscription
}

func newChannel(h *Hub, name string) *Channel {
	c := &Channel{Name: name, hub: h}
	c.first.channel = c
	c.parts = []*part{&c.first}
	return c
}

// Count is the number of subscribers.
func (c *Channel) Count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.count
}

// reserve finds a part with room; nil if the channel has its most subscribers.
func (c *Channel) reserve(most int) *part {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most > 0 && c.count >= most {
		return nil
	}
	for c.free < len(c.parts) && c.parts[c.free].count >= partSize {
		c.free++
	}
	if c.free == len(c.parts) {
		c.parts = append(c.parts, &part{channel: c})
	}
	p := c.parts[c.free]
	p.count++
	c.count++
	return p
}

func (c *Channel) add(p *part, s *Subscription) {
	p.mu.Lock()
	s.part, s.place = p, int32(len(p.subs))
	p.subs = append(p.subs, s)
	c.mu.Lock()
	s.seq = c.seq
	c.mu.Unlock()
	p.mu.Unlock()
}

func (c *Channel) remove(s *Subscription) {
	p := s.part
	p.mu.Lock()
	end := len(p.subs) - 1
	p.subs[s.place] = p.subs[end]
	p.subs[s.place].place = s.place
	p.subs[end] = nil
	p.subs = p.subs[:end]
	p.mu.Unlock()
	c.mu.Lock()
	p.count--
	c.count--
	for i := range c.free {
		if c.parts[i] == p {
			c.free = i
			break
		}
	}
	c.mu.Unlock()
}

// publish numbers the item and brings it to the subscribers, at once where they are few. It is false if the item's offset shows that others before
// it did not come.
func (c *Channel) publish(i *Item) (whole bool) {
	i.channel = c.Name
	size := i.size()
	c.mu.Lock()
	for c.crowded() {
		if c.room == nil {
			c.room = sync.NewCond(&c.mu)
		}
		c.waiting++
		c.room.Wait()
		c.waiting--
	}
	c.seq++
	i.seq = c.seq
	if i.Kind == Publication {
		if i.Delta {
			i.previous, c.last = c.last, i.Publication.Data
		} else {
			c.last = nil
		}
	}
	whole = true
	if offset := i.Offset(); offset != 0 {
		whole = c.offset == 0 || offset <= c.offset+1
		c.offset = offset
	}
	here := c.count < inline
	var one [1]*part
	turns := one[:0]
	for _, p := range c.parts {
		if p.count == 0 {
			continue
		}
		p.pending = append(p.pending, i)
		p.behind += size
		if !p.queued {
			p.queued = true
			turns = append(turns, p)
		}
	}
	c.mu.Unlock()
	if !here {
		c.hub.turns.add(turns...)
		return whole
	}
	for _, p := range turns {
		if p.turn(new(Batch)) {
			c.hub.turns.add(p)
		}
	}
	return whole
}

func (c *Channel) crowded() bool {
	for _, p := range c.parts {
		if p.behind > mostBehind {
			return true
		}
	}
	return false
}

// turn gives what is pending to all subscribers of the part; true if more has come.
func (p *part) turn(b *Batch) bool {
	c := p.channel
	c.mu.Lock()
	n, size := 0, 0
	for n < len(p.pending) && (n == 0 || size+p.pending[n].size() <= roundSize) {
		size += p.pending[n].size()
		n++
	}
	b.reset(p.pending[:n:n])
	p.pending = p.pending[n:]
	if len(p.pending) == 0 {
		p.pending = nil
	}
	p.behind -= size
	if c.waiting > 0 {
		c.room.Broadcast()
	}
	c.mu.Unlock()
	if n > 0 {
		taken := 0
		p.mu.Lock()
		for _, s := range p.subs {
			taken += s.Receiver.Deliver(s, b)
		}
		p.mu.Unlock()
		c.hub.delivered(b.Items, taken)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p.queued = len(p.pending) > 0
	return p.queued
}

// Each calls f with each subscription until it returns false. f must not subscribe or unsubscribe.
func (c *Channel) Each(f func(*Subscription) bool) {
	c.mu.Lock()
	parts := append([]*part(nil), c.parts...)
	c.mu.Unlock()
	for _, p := range parts {
		if !p.each(f) {
			return
		}
	}
}

func (p *part) each(f func(*Subscription) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subs {
		if !f(s) {
			return false
		}
	}
	return true
}

// Restart says that offsets begin again.
func (c *Channel) Restart() {
	c.mu.Lock()
	c.offset, c.last = 0, nil
	c.mu.Unlock()
	c.Each(func(s *Subscription) bool {
		s.Receiver.Restarted(s)
		return true
	})
}
