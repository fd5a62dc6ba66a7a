package fanout

import "github.com/headrace/headrace/internal/live/wire"

// Batch is what a part of a channel's subscribers is given at once. It is used by one goroutine at a time.
type Batch struct {
	Items []*Item

	offset   uint64 // of the first item that has one
	last     uint64 // of the last one
	presence bool   // there are joins and leaves among the items
	blobs    []blob
}

type blob struct {
	format wire.Format
	shape  Shape
	told   bool // with joins and leaves
	bytes  []byte
	err    error
}

func (b *Batch) reset(items []*Item) {
	clear(b.blobs)
	b.Items, b.blobs, b.offset, b.last, b.presence = items, b.blobs[:0], 0, 0, false
	for _, i := range items {
		b.presence = b.presence || i.Kind != Publication
		if offset := i.Offset(); offset != 0 {
			if b.last = offset; b.offset == 0 {
				b.offset = offset
			}
		}
	}
}

// Fits tells whether nothing of the batch is older than the subscription.
func (b *Batch) Fits(s *Subscription) bool {
	return s.seq < b.Items[0].seq && (b.offset == 0 || s.offset < b.offset)
}

// Last is the offset of the last item that has one, 0 if none has.
func (b *Batch) Last() uint64 { return b.last }

// Bytes is the whole batch for a subscription that it fits, nil if nothing of it is meant for it. The subscription's receiver calls it under the
// lock that guards the subscription.
func (b *Batch) Bytes(s *Subscription, f wire.Format) ([]byte, error) {
	shape, told := s.shape(), s.flags&JoinLeave != 0 || !b.presence
	for i := range b.blobs {
		if o := &b.blobs[i]; o.format == f && o.shape == shape && o.told == told {
			s.sent(shape)
			return o.bytes, o.err
		}
	}
	made := blob{format: f, shape: shape, told: told}
	for _, item := range b.Items {
		if item.Kind != Publication && !told {
			continue
		}
		frame, err := item.Frame(f, shape)
		if err != nil {
			made.bytes, made.err = nil, err
			break
		}
		if len(b.Items) == 1 {
			made.bytes = frame
			break
		}
		made.bytes = append(made.bytes, frame...)
		if shape == Base && item.Kind == Publication {
			shape = Patch
		}
	}
	b.blobs = append(b.blobs, made)
	s.sent(made.shape)
	return made.bytes, made.err
}
