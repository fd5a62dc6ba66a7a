package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"

	"github.com/headrace/headrace/internal/identity"
)

type claims map[string]any

// token is that of a user, for ten minutes and this audience if more does not say otherwise.
func token(t testing.TB, user string, more claims) string {
	t.Helper()
	all := claims{"sub": user, "aud": audience, "exp": time.Now().Add(10 * time.Minute).Unix(), "info": claims{"name": user}}
	for name, value := range more {
		if all[name] = value; value == nil {
			delete(all, name)
		}
	}
	text, err := identity.Sign([]byte(secret), all)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

var channels atomic.Int64

// channel is a name that no other test has.
func channel(namespace string) string { return fmt.Sprintf("%s:go-%d", namespace, channels.Add(1)) }

// client is centrifuge-go with what it was told.
type client struct {
	*centrifuge.Client
	connected    chan centrifuge.ConnectedEvent
	disconnected chan centrifuge.DisconnectedEvent
	connecting   chan centrifuge.ConnectingEvent
	server       chan centrifuge.ServerPublicationEvent
	subscribed   chan centrifuge.ServerSubscribedEvent
	failed       chan error // the first ones
}

// dial connects and does not wait for the answer.
func dial(t testing.TB, url string, protobuf bool, c centrifuge.Config) *client {
	t.Helper()
	build := centrifuge.NewJsonClient
	if protobuf {
		build = centrifuge.NewProtobufClient
	}
	c.MinReconnectDelay, c.MaxReconnectDelay, c.HandshakeTimeout, c.ReadTimeout = 20*time.Millisecond, 200*time.Millisecond, 10*time.Second, 20*time.Second
	me := &client{Client: build(url, c), connected: make(chan centrifuge.ConnectedEvent, 100), disconnected: make(chan centrifuge.DisconnectedEvent, 100),
		connecting: make(chan centrifuge.ConnectingEvent, 100), server: make(chan centrifuge.ServerPublicationEvent, 1000), subscribed: make(chan centrifuge.ServerSubscribedEvent, 100), failed: make(chan error, 10)}
	me.OnConnected(func(e centrifuge.ConnectedEvent) { me.connected <- e })
	me.OnDisconnected(func(e centrifuge.DisconnectedEvent) { me.disconnected <- e })
	me.OnConnecting(func(e centrifuge.ConnectingEvent) { me.connecting <- e })
	me.OnPublication(func(e centrifuge.ServerPublicationEvent) { me.server <- e })
	me.OnSubscribed(func(e centrifuge.ServerSubscribedEvent) { me.subscribed <- e })
	me.OnError(func(e centrifuge.ErrorEvent) {
		select {
		case me.failed <- e.Error:
		default:
		}
	})
	t.Cleanup(me.Close)
	if err := me.Connect(); err != nil {
		t.Fatal(err)
	}
	return me
}

// enter connects a user and waits until it is in.
func enter(t testing.TB, url string, protobuf bool, user string, more claims) *client {
	t.Helper()
	me := dial(t, url, protobuf, centrifuge.Config{Token: token(t, user, more)})
	recv(t, me.connected, user+" connected")
	return me
}

// subscription is one of centrifuge-go with what it was told.
type subscription struct {
	*centrifuge.Subscription
	publications chan centrifuge.Publication
	joins        chan string // "+user" or "-user"
	subscribed   chan centrifuge.SubscribedEvent
	unsubscribed chan centrifuge.UnsubscribedEvent
	failed       chan error
}

// listen subscribes and does not wait for the answer.
func (c *client) listen(t testing.TB, channel string, o centrifuge.SubscriptionConfig) *subscription {
	t.Helper()
	o.MinResubscribeDelay, o.MaxResubscribeDelay = 20*time.Millisecond, 200*time.Millisecond
	sub, err := c.NewSubscription(channel, o)
	if err != nil {
		t.Fatal(err)
	}
	s := &subscription{sub, make(chan centrifuge.Publication, 200_000), make(chan string, 1000), make(chan centrifuge.SubscribedEvent, 100),
		make(chan centrifuge.UnsubscribedEvent, 100), make(chan error, 100)}
	s.OnPublication(func(e centrifuge.PublicationEvent) { s.publications <- e.Publication })
	s.OnJoin(func(e centrifuge.JoinEvent) { s.joins <- "+" + e.User })
	s.OnLeave(func(e centrifuge.LeaveEvent) { s.joins <- "-" + e.User })
	s.OnSubscribed(func(e centrifuge.SubscribedEvent) { s.subscribed <- e })
	s.OnUnsubscribed(func(e centrifuge.UnsubscribedEvent) { s.unsubscribed <- e })
	s.OnError(func(e centrifuge.SubscriptionErrorEvent) { s.failed <- e.Error })
	if err := s.Subscribe(); err != nil {
		t.Fatal(err)
	}
	return s
}

// join subscribes and waits until it is in.
func (c *client) join(t testing.TB, channel string, o centrifuge.SubscriptionConfig) *subscription {
	t.Helper()
	s := c.listen(t, channel, o)
	recv(t, s.subscribed, "subscribed to "+channel)
	return s
}

// say publishes in time. Where a connection ends in the middle of it, the library may give its answer twice and block on the second for good.
func (c *client) say(t testing.TB, channel, data string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience) // a cleanup may publish too
	defer cancel()
	said := make(chan error, 1)
	go func() {
		_, err := c.Publish(ctx, channel, []byte(data))
		said <- err
	}()
	select {
	case err := <-said:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// code is that of an error which the server gave.
func code(err error) uint32 {
	var e *centrifuge.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return 0
}

// recv takes a value that must come.
func recv[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("%s: nothing came", what)
	}
	panic("unreachable")
}

// eventually polls until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// formats runs a test in JSON and in protobuf.
func formats(t *testing.T, f func(t *testing.T, protobuf bool)) {
	t.Parallel()
	for _, name := range []string{"json", "protobuf"} {
		t.Run(name, func(t *testing.T) { f(t, name == "protobuf") })
	}
}

func TestGo(t *testing.T) {
	formats(t, func(t *testing.T, protobuf bool) {
		s, room, ctx := shared(t), channel("chat"), t.Context()
		ann := enter(t, s.url("/websocket"), protobuf, "ann", nil)
		bob := enter(t, s.url("/websocket"), !protobuf, "bob", nil)
		sub := ann.listen(t, room, centrifuge.SubscriptionConfig{JoinLeave: true, Recoverable: true})
		in := recv(t, sub.subscribed, "subscribed")
		if !in.Recoverable || !in.Positioned || in.StreamPosition == nil || in.StreamPosition.Epoch == "" {
			t.Fatalf("%+v", in)
		}
		other := bob.join(t, room, centrifuge.SubscriptionConfig{})
		if a, b := recv(t, sub.joins, "join"), recv(t, sub.joins, "join"); a != "+ann" || b != "+bob" {
			t.Errorf("joins %s %s", a, b)
		}
		for n := range 5 {
			if err := ann.say(t, room, fmt.Sprintf(`{"n":%d}`, n+1)); err != nil {
				t.Fatal(err)
			}
			for _, to := range []*subscription{sub, other} {
				p := recv(t, to.publications, "publication")
				if string(p.Data) != fmt.Sprintf(`{"n":%d}`, n+1) || p.Offset != uint64(n+1) || p.Info == nil || p.Info.User != "ann" || string(p.Info.ConnInfo) != `{"name":"ann"}` {
					t.Errorf("got %s %+v", p.Data, p)
				}
			}
		}
		page := func(want []uint64, o ...centrifuge.HistoryOption) {
			t.Helper()
			h, err := sub.History(ctx, o...)
			var got []uint64
			for _, p := range h.Publications {
				got = append(got, p.Offset)
			}
			if err != nil || !slices.Equal(got, want) || h.Offset != 5 || h.Epoch != in.StreamPosition.Epoch {
				t.Errorf("history %v %d, want %v: %v", got, h.Offset, want, err)
			}
		}
		since := func(n uint64) centrifuge.HistoryOption {
			return centrifuge.WithHistorySince(&centrifuge.StreamPosition{Offset: n, Epoch: in.StreamPosition.Epoch})
		}
		page([]uint64{1, 2}, centrifuge.WithHistoryLimit(2))
		page([]uint64{3, 4}, centrifuge.WithHistoryLimit(2), since(2))
		page([]uint64{5, 4}, centrifuge.WithHistoryLimit(2), centrifuge.WithHistoryReverse(true))
		page([]uint64{3, 2, 1}, centrifuge.WithHistoryLimit(5), since(4), centrifuge.WithHistoryReverse(true))
		page(nil, centrifuge.WithHistoryLimit(0))
		page([]uint64{1, 2, 3, 4, 5}, centrifuge.WithHistoryLimit(-1))
		if _, err := sub.History(ctx, centrifuge.WithHistoryLimit(1), centrifuge.WithHistorySince(&centrifuge.StreamPosition{Offset: 1, Epoch: "other"})); code(err) != 112 {
			t.Errorf("history of another epoch: %v", err)
		}
		present, err := sub.Presence(ctx)
		if err != nil || len(present.Clients) != 2 {
			t.Errorf("presence %+v: %v", present, err)
		}
		stats, err := sub.PresenceStats(ctx)
		if err != nil || stats.NumClients != 2 || stats.NumUsers != 2 {
			t.Errorf("presence stats %+v: %v", stats, err)
		}
		called, err := ann.RPC(ctx, "greet", []byte(`{"name":"Ann"}`))
		var greeting struct{ Greeting string }
		if err != nil || json.Unmarshal(called.Data, &greeting) != nil || greeting.Greeting != "hello, Ann" {
			t.Errorf("rpc %s: %v", called.Data, err)
		}
		if _, err := ann.RPC(ctx, "greet", []byte(`{"nobody":1}`)); code(err) != 107 {
			t.Errorf("rpc with wrong arguments: %v", err)
		}
		if _, err := ann.RPC(ctx, "kick", []byte(`{}`)); code(err) != 104 {
			t.Errorf("rpc to a function that is not for clients: %v", err)
		}
		if err := other.Unsubscribe(); err != nil {
			t.Error(err)
		}
		if left := recv(t, sub.joins, "leave"); left != "-bob" {
			t.Error(left)
		}
	})
}

// TestGoCut cuts the line again and again: nothing is missed and nothing comes twice, with differences or without, whoever subscribed.
func TestGoCut(t *testing.T) {
	formats(t, func(t *testing.T, protobuf bool) {
		s := shared(t)
		line := newProxy(t, s.public)
		room, own := channel("chat"), channel("chat")
		ann := enter(t, "ws://"+line.Addr().String()+"/live/websocket", protobuf, "ann", claims{"channels": []string{own}})
		bob := enter(t, s.url("/websocket"), protobuf, "bob", nil)
		plain := ann.join(t, room, centrifuge.SubscriptionConfig{})
		long := strings.Repeat("long enough for a difference ", 10)
		sent, heard, served := 0, 0, 0
		for round := range 6 {
			for range 20 {
				sent++
				data := fmt.Sprintf(`{"text":%q,"n":%d}`, long, sent)
				if err := errors.Join(bob.say(t, room, data), bob.say(t, own, data)); err != nil {
					t.Fatal(err)
				}
				if sent%20 == 10 && round > 0 {
					line.cut()
				}
			}
			for ; heard < sent; heard++ {
				if p := recv(t, plain.publications, "publication"); p.Offset != uint64(heard+1) || !strings.HasSuffix(string(p.Data), fmt.Sprintf(`"n":%d}`, heard+1)) {
					t.Fatalf("after %d came %d: %s", heard, p.Offset, p.Data)
				}
			}
			for ; served < sent; served++ {
				if p := recv(t, ann.server, "publication of the server's subscription"); p.Offset != uint64(served+1) {
					t.Fatalf("after %d came %d", served, p.Offset)
				}
			}
		}
		for range 5 {
			if in := recv(t, plain.subscribed, "subscribed again"); !in.WasRecovering || !in.Recovered {
				t.Errorf("%+v", in)
			}
		}
	})
}

// compact is JSON without spaces.
func compact(text []byte) string {
	var b bytes.Buffer
	if err := json.Compact(&b, text); err != nil {
		return string(text)
	}
	return b.String()
}
