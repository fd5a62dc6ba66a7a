package live

import (
	"slices"

	"github.com/headrace/headrace/internal/live/fanout"
)

// outbox holds what waits for a client: while its socket takes nothing, or while what it subscribes to is being read.
type outbox struct {
	letters []letter
	size    int
}

type letter struct {
	frame  []byte
	sub    *fanout.Subscription // nil for replies
	offset uint64
	key    string
}

const letterSize = 64 // what a letter takes beside its frame, about

func (o *outbox) add(l letter) {
	o.letters = append(o.letters, l)
	o.size += len(l.frame) + letterSize
}

// remove takes out the letters that f tells and returns how many there were.
func (o *outbox) remove(f func(*letter) bool) int {
	before := len(o.letters)
	o.letters = slices.DeleteFunc(o.letters, func(l letter) bool {
		if !f(&l) {
			return false
		}
		o.size -= len(l.frame) + letterSize
		return true
	})
	return before - len(o.letters)
}

// oldest takes out the oldest letters of subscriptions until the box is smaller than the limit; it returns how many.
func (o *outbox) oldest(limit int) int {
	return o.remove(func(l *letter) bool { return l.sub != nil && o.size > limit })
}

// first appends whole letters up to about a size to b; drop takes as many out.
func (o *outbox) first(b []byte, size int) (bytes []byte, n int) {
	for ; n < len(o.letters) && (n == 0 || len(b)+len(o.letters[n].frame) <= size); n++ {
		b = append(b, o.letters[n].frame...)
	}
	return b, n
}

func (o *outbox) drop(n int) {
	for _, l := range o.letters[:n] {
		o.size -= len(l.frame) + letterSize
	}
	o.letters = slices.Delete(o.letters, 0, n)
}
