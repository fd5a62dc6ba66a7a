package live

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"

	"github.com/centrifugal/centrifuge-go"
)

// TestFunctions: functions of the app decide who connects, who subscribes, and what is published.
func TestFunctions(t *testing.T) {
	t.Parallel()
	s := start(t, strings.Replace(defaults, "\n  token:", "\n  anonymous: true\n  token:", 1), "LIVE_TEST_EVENTS=1")
	for _, protobuf := range []bool{false, true} {
		for user, want := range map[string]uint32{"denied": 1001, "thrown": 4501} {
			c := dial(t, s.url("/websocket"), protobuf, centrifuge.Config{Token: token(t, user, nil)})
			if user == "denied" {
				var refused centrifuge.ConnectError
				err := recv(t, c.failed, "error")
				if !errors.As(err, &refused) || code(refused.Err) != want {
					t.Errorf("%s: %v", user, err)
				}
				c.Close()
			} else if over := recv(t, c.disconnected, user); over.Code != want || over.Reason != "go away" {
				t.Errorf("%s: %+v", user, over)
			}
		}
		nobody := dial(t, s.url("/websocket"), protobuf, centrifuge.Config{Data: []byte(`{"page":3}`)})
		if in := recv(t, nobody.connected, "anonymous connected"); compact(in.Data) != `{"welcome":{"page":3}}` {
			t.Errorf("connect data %s", in.Data)
		}
		if sub := recv(t, nobody.subscribed, "subscribed by on_connect"); sub.Channel != "asked:lobby" {
			t.Errorf("%+v", sub)
		}
		ann := enter(t, s.url("/websocket"), protobuf, "ann", nil)
		room := channel("asked")
		sub := ann.listen(t, room, centrifuge.SubscriptionConfig{})
		if in := recv(t, sub.subscribed, "subscribed"); compact(in.Data) != `{"rules":"be kind"}` {
			t.Errorf("subscribe data %s", in.Data)
		}
		present, err := sub.Presence(t.Context())
		for _, who := range present.Clients {
			if who.User != "ann" || compact(who.ChanInfo) != `{"seat":7}` {
				t.Errorf("presence %+v", who)
			}
		}
		if err != nil || len(present.Clients) != 1 {
			t.Errorf("presence %v: %v", present, err)
		}
		if err := nobody.say(t, room, `{"text":"hello"}`); err != nil {
			t.Error(err)
		}
		if p := recv(t, sub.publications, "amended"); compact(p.Data) != `{"text":"HELLO"}` || p.Info == nil || p.Info.User != "named" || compact(p.Info.ConnInfo) != `{"name":"Named"}` {
			t.Errorf("amended %s %+v", p.Data, p.Info)
		}
		if err := ann.say(t, room, `{"text":"spam"}`); code(err) != 1003 {
			t.Errorf("spam: %v", err)
		}
		if err := ann.say(t, room, `{"no text":1}`); code(err) != 100 {
			t.Errorf("a function with a bug: %v", err)
		}
		secret := ann.listen(t, "asked:secret", centrifuge.SubscriptionConfig{})
		if over := recv(t, secret.unsubscribed, "denied subscription"); over.Code != 1002 {
			t.Errorf("%+v", over)
		}
		_ = ann.say(t, room, `{"text":"flood"}`)
		if over := recv(t, ann.disconnected, "flood"); over.Code != 4503 {
			t.Errorf("%+v", over)
		}
		if h, err := nobody.History(t.Context(), room, centrifuge.WithHistoryLimit(10)); code(err) != 103 {
			t.Errorf("history without right: %v %v", h, err)
		}
	}
}

// TestJob: a job publishes, its channel tells of it to who has the follow token, and a function ends connections.
func TestJob(t *testing.T) {
	formats(t, func(t *testing.T, protobuf bool) {
		s, room := shared(t), channel("chat")
		line := newProxy(t, s.public)
		ann := enter(t, "ws://"+line.Addr().String()+"/live/websocket", protobuf, room, nil)
		sub := ann.join(t, room, centrifuge.SubscriptionConfig{})
		texts := []string{"one", "two", "three"}
		job := s.post(t, "/announce", map[string]any{"channel": room, "texts": texts})
		follow, err := url.Parse(job.Follow)
		if err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{"", "wrong", follow.Query().Get("token") + "x"} {
			c := ann.listen(t, "job:"+job.ID, centrifuge.SubscriptionConfig{Token: other})
			if over := recv(t, c.unsubscribed, "wrong follow token"); over.Code != 103 {
				t.Errorf("token %q: %+v", other, over)
			}
			_ = ann.RemoveSubscription(c.Subscription)
		}
		events := ann.join(t, "job:"+job.ID, centrifuge.SubscriptionConfig{Token: follow.Query().Get("token")})
		for n, want := range texts {
			if p := recv(t, sub.publications, "of the job"); compact(p.Data) != `{"text":"`+want+`"}` || p.Offset != uint64(n+1) {
				t.Errorf("%d: %s", p.Offset, p.Data)
			}
		}
		kinds, last, next := "", "", uint64(1)
		for last != "succeeded" {
			p := recv(t, events.publications, "job event")
			var e struct {
				Kind string
				Data struct{ State string }
			}
			if err := json.Unmarshal(p.Data, &e); err != nil {
				t.Fatal(err)
			}
			if last = e.Data.State; e.Kind != "log" {
				kinds += e.Kind + " "
			}
			if p.Offset != next {
				t.Errorf("event %d came, not %d", p.Offset, next)
			}
			if next++; p.Offset == 2 {
				line.cut() // it is resumed behind the second event
			}
		}
		recv(t, ann.connected, "connected again")
		if !strings.HasPrefix(kinds, "state state progress ") || !strings.HasSuffix(kinds, "progress state ") {
			t.Errorf("events %s", kinds)
		}
		if err := ann.say(t, "job:"+job.ID, `1`); code(err) != 108 {
			t.Errorf("publishing in the channel of a job: %v", err)
		}
		s.post(t, "/kick", map[string]any{"user": room})
		for {
			if over := recv(t, ann.disconnected, "kicked"); over.Code == 4500 && over.Reason == "kicked" {
				break
			}
		}
	})
}

// TestVersions: a publication whose version is not above that of its channel is left out.
func TestVersions(t *testing.T) {
	t.Parallel()
	s, room := shared(t), channel("chat")
	ann := enter(t, s.url("/websocket"), false, "ann", nil)
	sub := ann.join(t, room, centrifuge.SubscriptionConfig{})
	s.post(t, "/versions", map[string]any{"channel": room, "numbers": []int{3, 2, 3, 5, 4, 6}})
	for n, want := range []string{"3", "5", "6"} {
		if p := recv(t, sub.publications, "version"); p.Offset != uint64(n+1) || compact(p.Data) != `{"version":`+want+`}` {
			t.Errorf("%d: %s", p.Offset, p.Data)
		}
	}
}
