// Package fanout brings what is published in a channel to its subscribers. What is published is encoded once for each format; a part of the
// subscribers that is behind takes all that is pending and gives it to each of them in one piece.
package fanout

import (
	"sync"
	"time"
	"unicode/utf8"

	"github.com/centrifugal/fdelta"
	"github.com/centrifugal/protocol"
	"github.com/centrifugal/protocol/cfjson"

	"github.com/headrace/headrace/internal/live/wire"
)

// Kind is what an item tells.
type Kind uint8

const (
	Publication Kind = iota
	Join
	Leave
)

// Item is something that happened in a channel. It is not changed once it was published.
type Item struct {
	Kind        Kind
	Publication *protocol.Publication // of the kind Publication
	Info        *protocol.ClientInfo  // of the others
	Delta       bool                  // the next publication may be told as the difference to this one
	At          time.Time             // when it was handed in

	channel  string
	seq      uint64 // number in the channel for as long as the channel is in memory
	previous []byte // data of the publication before; nil if it is not known or no deltas are made

	mu    sync.Mutex
	forms []form
}

// Shape is which of the forms of an item a subscriber gets.
type Shape uint8

const (
	Plain    Shape = iota // the data
	Base                  // the data for one that gets differences from here on
	Patch                 // the difference to the publication before
	allForms              // how many there are
)

type form struct {
	format wire.Format
	shape  Shape
	frame  []byte
	err    error
}

// Offset is the place of the item in the channel's history, 0 if it has none.
func (i *Item) Offset() uint64 {
	if i.Publication == nil {
		return 0
	}
	return i.Publication.Offset
}

// Key tells publications apart of which only the latest matters.
func (i *Item) Key() string {
	if i.Publication == nil {
		return ""
	}
	return i.Publication.Key
}

// size is about what the item takes on the wire.
func (i *Item) size() int {
	if i.Publication == nil {
		return 128
	}
	return 64 + len(i.channel) + len(i.Publication.Data)
}

// Frame is the item as clients of a format get it. It is an error if the format cannot carry the data.
func (i *Item) Frame(f wire.Format, shape Shape) ([]byte, error) {
	if shape == Patch && i.previous == nil {
		shape = Base
	}
	if i.Kind != Publication || shape == Base && f&wire.Protobuf != 0 {
		shape = Plain
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	for k := range i.forms {
		if i.forms[k].format == f && i.forms[k].shape == shape {
			return i.forms[k].frame, i.forms[k].err
		}
	}
	message, err := f.Push(i.push(f, shape))
	form := form{format: f, shape: shape, err: err}
	if err == nil {
		form.frame = f.Append(make([]byte, 0, len(message)+16), message)
	}
	i.forms = append(i.forms, form)
	return form.frame, form.err
}

func (i *Item) push(f wire.Format, shape Shape) *protocol.Push {
	push := &protocol.Push{Channel: i.channel}
	switch {
	case i.Kind == Join:
		push.Join = &protocol.Join{Info: i.Info}
	case i.Kind == Leave:
		push.Leave = &protocol.Leave{Info: i.Info}
	case shape == Plain:
		push.Pub = i.Publication
	default:
		var previous []byte
		if shape == Patch {
			previous = i.previous
		}
		push.Pub = Differ(f, previous, i.Publication)
	}
	return push
}

// Differ is a publication for a client that takes differences: the difference to the data before where that is shorter, else all of it.
// JSON carries both as a string.
func Differ(f wire.Format, previous []byte, p *protocol.Publication) *protocol.Publication {
	json := f&wire.Protobuf == 0
	told := &protocol.Publication{Offset: p.Offset, Info: p.Info, Tags: p.Tags, Key: p.Key, Data: p.Data}
	if previous != nil && (!json || utf8.Valid(previous)) {
		patch := fdelta.Create(previous, p.Data)
		if len(patch) < len(p.Data) && (!json || utf8.Valid(patch)) {
			told.Data, told.Delta = patch, true
		}
	}
	if json {
		told.Data = cfjson.AppendString(nil, string(told.Data))
	}
	return told
}
