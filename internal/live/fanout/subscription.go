package fanout

// Receiver is who has a subscription. Deliver never blocks and calls nothing of this package but methods of its arguments; it returns how many
// items it took.
type Receiver interface {
	Deliver(s *Subscription, b *Batch) int
	// Restarted tells that the offsets of the channel begin again; the receiver calls the subscription's Restart under its lock.
	Restarted(s *Subscription)
}

// Flags say what a subscription gets.
type Flags uint32

const (
	JoinLeave  Flags = 1 << iota // joins and leaves are told
	Delta                        // publications may come as differences
	Present                      // its client is shown by presence
	Positioned                   // its client keeps its place in the history
	Recovering                   // its client may come back to that place
	Server                       // the server subscribed it
	Announced                    // its join is told, so its leave is too
)

// Subscription is a place among the subscribers of a channel. What is not exported belongs to the channel or, as noted, to the receiver's lock.
type Subscription struct {
	Receiver Receiver
	Channel  *Channel
	Extra    *Extra // nil for most; receiver's lock

	part    *part
	seq     uint64 // items up to this one came before the subscription
	offset  uint64 // history up to here was told otherwise; receiver's lock
	reached uint64 // offset of the last item that the receiver took; receiver's lock
	place   int32
	flags   Flags
	Ended   bool // it gets nothing any more; receiver's lock
	placed  bool // Told was called; receiver's lock
	based   bool // the client has what the next difference is made against; receiver's lock
}

// Extra is what only some subscriptions have.
type Extra struct {
	Info    []byte // about the client in this channel
	Expires int64  // Unix seconds; 0 is never
	Client  bool   // the client refreshes it
}

// Flags are the flags of the subscription.
func (s *Subscription) Flags() Flags { return s.flags }

// Told says that the client has, or will get otherwise, the history up to an offset; based that its last publication is known to the client.
func (s *Subscription) Told(offset uint64, based bool) {
	s.offset, s.placed = max(s.offset, offset), true
	s.based = s.based || based
}

// Reached says that the receiver took the item with an offset, and all before it.
func (s *Subscription) Reached(offset uint64) { s.reached = max(s.reached, offset) }

// Position is the offset up to which the client has the history; false before it was told for the first time.
func (s *Subscription) Position() (uint64, bool) { return max(s.offset, s.reached), s.placed }

// Restart says that offsets begin again.
func (s *Subscription) Restart() { s.offset, s.reached, s.based = 0, 0, false }

// Wants tells whether an item is meant for this subscription.
func (s *Subscription) Wants(i *Item) bool {
	if i.seq <= s.seq || i.Kind != Publication && s.flags&JoinLeave == 0 {
		return false
	}
	offset := i.Offset()
	return offset == 0 || offset > s.offset
}

// Whole is the shape of an item for a subscription that may lose some: nothing depends on the one before.
func (s *Subscription) Whole() Shape {
	if s.flags&Delta == 0 {
		return Plain
	}
	s.based = true
	return Base
}

// Lost says that the client did not get the last item it was meant to get.
func (s *Subscription) Lost() { s.based = false }

func (s *Subscription) shape() Shape {
	switch {
	case s.flags&Delta == 0:
		return Plain
	case !s.based:
		return Base
	default:
		return Patch
	}
}

func (s *Subscription) sent(shape Shape) {
	if shape == Base {
		s.based = true
	}
}
