package merge

import (
	"bytes"

	"github.com/headrace/headrace/internal/exchange/strictjson"
)

// document is the answer while it is made: members in the order in which they came first.
type document struct {
	members []member
	places  map[string]int // of members, once there are many
}

type member struct{ key, value []byte }

// many members are looked up, fewer are compared one by one.
const many = 16

// set adds a member, or puts another value in its place.
func (d *document) set(m member) {
	if d.places != nil {
		if i, ok := d.places[string(m.key)]; ok {
			d.members[i] = m
			return
		}
	} else {
		for i := range d.members {
			if bytes.Equal(d.members[i].key, m.key) {
				d.members[i] = m
				return
			}
		}
	}
	d.members = append(d.members, m)
	if d.places != nil {
		d.places[string(m.key)] = len(d.members) - 1
	} else if len(d.members) > many {
		d.places = make(map[string]int, 2*many)
		for i, m := range d.members {
			d.places[string(m.key)] = i
		}
	}
}

// append writes the object.
func (d *document) append(b []byte) []byte {
	b = append(b, '{')
	for i, m := range d.members {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(append(strictjson.AppendText(b, m.key), ':'), m.value...)
	}
	return append(b, '}')
}
