package live

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/centrifugal/protocol"

	"github.com/headrace/headrace/internal/config"
)

// event is the next event of a stream with the id that an EventSource would have after it.
func (s *stream) event(id string) (*protocol.Push, string) {
	s.Helper()
	for {
		text, err := s.in.ReadString('\n')
		if err != nil {
			s.Fatal(err)
		}
		text = strings.TrimSuffix(text, "\n")
		if told, ok := strings.CutPrefix(text, "id: "); ok {
			id = told
		}
		if data, ok := strings.CutPrefix(text, "data: "); ok && data != "{}" {
			p := &protocol.Push{}
			if err := json.Unmarshal([]byte(data), p); err != nil {
				s.Fatal(err)
			}
			return p, id
		}
	}
}

// An EventSource that was cut off after any event gets what it missed of all its channels when it comes back, once and in order.
func TestEventSourceRecovers(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Namespaces["chat"].JoinLeave = false }, nil)
	claims := token(t, map[string]any{"sub": "ann", "channels": []string{"chat:mine"}})
	path := "/uni_sse?channels=chat:a,plain,chat:b&token=" + claims
	kept := []string{"chat:a", "chat:b", "chat:mine"}
	sent, seen, id := map[string]int{}, map[string]int{}, ""
	publish := func(times int) {
		t.Helper()
		for range times {
			for _, channel := range kept {
				sent[channel]++
				if _, err := r.Publish(t.Context(), channel, fmt.Appendf(nil, `{"n":%d}`, sent[channel]), PublishOptions{}); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for round := range 12 {
		s := r.stream("GET", path, "", "", "Last-Event-ID", id)
		take := func(channel string, p *protocol.Publication) {
			t.Helper()
			if n := number(t, p); n != seen[channel]+1 || int(p.Offset) != n {
				t.Fatalf("round %d: %d of %s after %d", round, n, channel, seen[channel])
			}
			seen[channel]++
		}
		var push *protocol.Push
		push, id = s.event(id)
		mine := push.Connect.GetSubs()["chat:mine"]
		if mine == nil || mine.WasRecovering != (round > 0) || mine.Recovered != (round > 0) {
			t.Fatalf("round %d: %v", round, push)
		}
		for _, p := range mine.Publications {
			take("chat:mine", p)
		}
		next := func() {
			t.Helper()
			push, id = s.event(id)
			switch {
			case push.Pub != nil:
				take(push.Channel, push.Pub)
			case push.Subscribe == nil:
				t.Fatalf("round %d: %v", round, push)
			}
		}
		if round%3 == 2 { // it goes while it recovers
			for range round / 3 {
				next()
			}
			_ = s.Body.Close()
			continue
		}
		for subscribed := 0; subscribed < 3; {
			if next(); push.Subscribe != nil {
				subscribed++
			}
		}
		publish(3)
		for range round { // it may have read less than was written
			next()
		}
		_ = s.Body.Close()
		publish(2)
	}
	s := r.stream("GET", path+"&last_event_id="+id, "", "")
	for seen["chat:a"] < sent["chat:a"] || seen["chat:b"] < sent["chat:b"] {
		push, next := s.event(id)
		if id = next; push.Pub != nil {
			if n := number(t, push.Pub); n != seen[push.Channel]+1 {
				t.Fatalf("%d of %s after %d", n, push.Channel, seen[push.Channel])
			}
			seen[push.Channel]++
		}
	}
}

// An id that is of something else, or of what is gone, begins anew.
func TestEventSourceBeginsAnew(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.Namespaces["chat"].JoinLeave = false }, nil)
	for n := range 3 {
		if _, err := r.Publish(t.Context(), "chat:a", fmt.Appendf(nil, `{"n":%d}`, n), PublishOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"42", placeKey("chat:a") + ".other.1", placeKey("chat:b") + ".other.1", strings.Repeat("x.y.1,", 100), "\xff.\xfe.1"} {
		s := r.stream("GET", "/uni_sse?channels=chat:a", "", "", "Last-Event-ID", id)
		_, _ = s.event("")
		if push, id := s.event(""); push.Subscribe.GetOffset() != 3 || !strings.HasSuffix(id, ".3") {
			t.Errorf("%v with %q", push, id)
		}
		_ = s.Body.Close()
	}
}

// The id tells of so many channels, and of none where there are more, so that it is never half of the truth.
func TestEventIDIsBounded(t *testing.T) {
	r := newRig(t, func(c *config.Live) { c.MaxChannels, c.Namespaces["chat"].JoinLeave = mostPlaces+1, false }, nil)
	var all []string
	for i := range mostPlaces + 1 {
		all = append(all, fmt.Sprintf("chat:%s%d", strings.Repeat("n", 60), i))
	}
	s := r.stream("GET", "/uni_sse?channels="+strings.Join(all, ","), "", "")
	_, id := s.event("")
	for i := range all {
		push, next := s.event(id)
		if id = next; push.Subscribe == nil || len(id) > 4096 || i < mostPlaces && strings.Count(id, ",") != i || i == mostPlaces && id != "" {
			t.Fatalf("%d: %v %q", i, push, id)
		}
	}
}

func FuzzSince(f *testing.F) {
	for _, seed := range []string{"", "a.b.1", placeKey("chat:a") + ".EPOCH.7," + placeKey("chat:b") + ".EPOCH.18446744073709551615", "a.b.c,,..,a.b.-1", "a.b\nid: c.1", "a\r.b.1", strings.Repeat("a.b.1,", 999)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, id string) {
		all := parseSince(id)
		if len(all) > mostPlaces {
			t.Fatal(len(all))
		}
		s := &Session{more: &more{since: all}}
		if line := s.appendID(nil); len(all) > 0 && bytes.IndexAny(line, "\r\n\x00") != len(line)-1 || len(all) == 0 && len(line) > 0 {
			t.Fatalf("%q", line)
		}
		if r := all.request("chat:a"); r.Recover && r.Epoch == "" || !r.Recover && r.Offset != 0 {
			t.Fatal(r)
		}
	})
}
