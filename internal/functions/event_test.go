package functions

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/headrace/headrace/internal/problem"
	"github.com/headrace/headrace/internal/workers"
)

func announced(kind string, on workers.Event) workers.Function {
	return workers.Function{Name: "f", Kind: kind, Args: json.RawMessage(`{"type":"object","properties":{"request":{"type":"object"}}}`), Options: workers.Options{On: &on}}
}

func TestEventsThatCannotBe(t *testing.T) {
	for _, c := range []struct {
		name string
		kind string
		on   workers.Event
	}{
		{"unknown event", Call, workers.Event{Event: "sing", Channels: "a", Argument: "request"}},
		{"a job", Job, workers.Event{Event: Connect, Argument: "request"}},
		{"connect with channels", Call, workers.Event{Event: Connect, Channels: "a", Argument: "request"}},
		{"subscribe without", Call, workers.Event{Event: Subscribe, Argument: "request"}},
		{"star in the middle", Call, workers.Event{Event: Publish, Channels: "a*b", Argument: "request"}},
		{"two stars", Call, workers.Event{Event: Publish, Channels: "a**", Argument: "request"}},
		{"another argument", Call, workers.Event{Event: Publish, Channels: "a*", Argument: "other"}},
	} {
		var p *problem.Error
		if _, err := New(announced(c.kind, c.on), nil); !errors.As(err, &p) || p.Code != "HR9003" {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestMostSpecific(t *testing.T) {
	set := map[string]*Function{}
	for _, pattern := range []string{"*", "chat:*", "chat:vip", "chat:vip*", "chat:v*", "é*"} {
		fn, err := New(announced(Call, workers.Event{Event: Subscribe, Channels: pattern, Argument: "request"}), nil)
		if err != nil {
			t.Fatal(err)
		}
		set[pattern] = fn
	}
	all, err := newEvents(set)
	if err != nil {
		t.Fatal(err)
	}
	r := NewRegistry()
	r.events.Store(all)
	for channel, want := range map[string]string{"x": "*", "": "*", "chat": "*", "chat:": "chat:*", "chat:vip": "chat:vip", "chat:vip1": "chat:vip*", "chat:vi": "chat:v*", "é": "é*"} {
		if fn := r.On(Subscribe, channel); fn == nil || fn.Options.On.Channels != want {
			t.Errorf("%q is for %v, want %q", channel, fn, want)
		}
	}
	if r.On(Publish, "chat:vip") != nil {
		t.Error("subscribe answers publish")
	}
}
