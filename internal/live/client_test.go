package live

import (
	"context"
	"fmt"
	"testing"

	"github.com/centrifugal/centrifuge-go"
)

// subscribed subscribes a published client and returns its publications.
func (r *rig) subscribed(c *centrifuge.Client, channel string, o centrifuge.SubscriptionConfig) (*centrifuge.Subscription, chan centrifuge.PublicationEvent) {
	r.Helper()
	sub, err := c.NewSubscription(channel, o)
	if err != nil {
		r.Fatal(err)
	}
	got := make(chan centrifuge.PublicationEvent, 10_000)
	sub.OnPublication(func(e centrifuge.PublicationEvent) { got <- e })
	done := make(chan centrifuge.SubscribedEvent, 1)
	sub.OnSubscribed(func(e centrifuge.SubscribedEvent) {
		select {
		case done <- e:
		default:
		}
	})
	sub.OnError(func(e centrifuge.SubscriptionErrorEvent) { r.Logf("%s: %v", channel, e.Error) })
	if err := sub.Subscribe(); err != nil {
		r.Fatal(err)
	}
	recv(r, done, "subscribed to "+channel)
	return sub, got
}

func TestPublishAndReceive(t *testing.T) {
	r := newRig(t, nil, nil)
	formats(t, func(t *testing.T, protobuf bool) {
		r := &rig{TB: t, Live: r.Live, addr: r.addr}
		for _, channel := range []string{"plain", "chat:room"} {
			a, b := r.client(centrifuge.Config{}, protobuf), r.client(centrifuge.Config{}, !protobuf)
			_, got := r.subscribed(a, channel, centrifuge.SubscriptionConfig{})
			sub, echo := r.subscribed(b, channel, centrifuge.SubscriptionConfig{})
			for i := range 20 {
				if _, err := sub.Publish(context.Background(), fmt.Appendf(nil, `{"n":%d}`, i)); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := r.Publish(t.Context(), channel, []byte(`{"n":20}`), PublishOptions{Tags: map[string]string{"a": "b"}}); err != nil {
				t.Fatal(err)
			}
			for i := range 21 {
				want := fmt.Sprintf(`{"n":%d}`, i)
				for _, c := range []chan centrifuge.PublicationEvent{got, echo} {
					if e := recv(t, c, "publication"); string(e.Data) != want {
						t.Fatalf("%s instead of %s", e.Data, want)
					}
				}
			}
			a.Close()
			b.Close()
		}
	})
}
