package jobs

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/headrace/headrace/internal/identity"
)

// What is written by hand for plain jobs says what the encoder would; other jobs are left to the encoder.
func TestMetaOfPlainJobs(t *testing.T) {
	now := time.Unix(1_700_000_000, 123_456_000)
	plain := func() *job {
		return newJob(&Spec{ID: ID{1, 2, 3}, Function: "f", Queue: "reports.a-b", Created: now.Add(-time.Second), Rare: &noRare})
	}
	for _, limit := range []time.Duration{0, 90 * time.Second} {
		b := plain()
		text := b.plainMeta(identity.Caller{}, "", limit, now, nil)
		want := meta{ID: b.ID.String(), Attempt: 1, Queue: b.Queue, Enqueued: seconds(b.Created)}
		if limit > 0 {
			want.Deadline = seconds(now.Add(limit))
		}
		var got meta
		if err := json.Unmarshal(text, &got); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v, %v", text, got, want, err)
		}
	}
	for name, odd := range map[string]func(*job){
		"key":        func(b *job) { b.Rare = &Rare{Key: "k"} },
		"tags":       func(b *job) { b.Rare = &Rare{Tags: []string{"t"}} },
		"checkpoint": func(b *job) { b.extra().checkpoint = []byte(`{"n":1}`) },
		"quote":      func(b *job) { b.Queue = `a"b` },
		"umlaut":     func(b *job) { b.Queue = "ä" },
	} {
		b := plain()
		odd(b)
		if text := b.plainMeta(identity.Caller{}, "", 0, now, nil); text != nil {
			t.Errorf("%s: %s", name, text)
		}
	}
	for name, text := range map[string][]byte{
		"caller": plain().plainMeta(identity.Caller{User: "ann"}, "", 0, now, nil),
		"trace":  plain().plainMeta(identity.Caller{}, "00-1", 0, now, nil),
		"parts":  plain().plainMeta(identity.Caller{}, "", 0, now, []part{{}}),
	} {
		if text != nil {
			t.Errorf("%s: %s", name, text)
		}
	}
}

func TestEventsOfMostJobs(t *testing.T) {
	for want, e := range map[string]stateEvent{
		`{"state":"running","attempt":1}`:             {State: "running", Attempt: 1},
		`{"state":"succeeded","attempt":1}`:           {State: "succeeded", Attempt: 1},
		`{"state":"dead","attempt":1}`:                {State: "dead", Attempt: 1},
		`{"state":"running","attempt":2}`:             {State: "running", Attempt: 2},
		`{"state":"dead","attempt":1,"error":"boom"}`: {State: "dead", Attempt: 1, Error: "boom"},
	} {
		if got := string(e.json()); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
