package fanout

import (
	"testing"

	"github.com/centrifugal/protocol"
)

// A tap is told of channels without subscribers too, in the order of the publications, until it is removed.
func TestTap(t *testing.T) {
	h := NewHub(func([]*Item, int) {})
	defer h.Stop()
	var first, second []string
	note := func(list *[]string) func(string, *Item) {
		return func(channel string, i *Item) { *list = append(*list, channel+" "+string(i.Publication.Data)) }
	}
	publish := func(channel, data string) {
		h.Publish(channel, &Item{Publication: &protocol.Publication{Data: []byte(data)}})
	}
	publish("a", "0")
	endFirst := h.Tap(note(&first))
	publish("a", "1")
	endSecond := h.Tap(note(&second))
	publish("b", "2")
	endFirst()
	publish("a", "3")
	endSecond()
	endSecond()
	publish("a", "4")
	for _, c := range []struct{ got, want []string }{{first, []string{"a 1", "b 2"}}, {second, []string{"b 2", "a 3"}}} {
		if len(c.got) != 2 || c.got[0] != c.want[0] || c.got[1] != c.want[1] {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}
