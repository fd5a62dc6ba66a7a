package functions

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/headrace/headrace/internal/problem"
)

// Live events that functions answer.
const (
	Connect   = "connect"
	Subscribe = "subscribe"
	Publish   = "publish"
)

// events are the functions that answer live events, by event, the most specific pattern first.
type events map[string][]*Function

// newEvents sorts the functions of all pools. Two for the same event and pattern are HR9003.
func newEvents(set map[string]*Function) (*events, error) {
	all := events{}
	for _, name := range slices.Sorted(maps.Keys(set)) {
		fn := set[name]
		if on := fn.Options.On; on != nil {
			for _, other := range all[on.Event] {
				if other.Options.On.Channels == on.Channels {
					return nil, problem.New("HR9003", "%s of pool %s and %s of pool %s both answer %s", other.Name, other.Pool.Name(), fn.Name, fn.Pool.Name(),
						strings.TrimSpace(on.Event+" "+on.Channels)).Hinting("remove one of them, or make the pattern of one more specific")
				}
			}
			all[on.Event] = append(all[on.Event], fn)
		}
	}
	for _, list := range all {
		slices.SortFunc(list, func(a, b *Function) int {
			x, y := a.Options.On.Channels, b.Options.On.Channels
			return cmp.Or(len(strings.TrimSuffix(y, "*"))-len(strings.TrimSuffix(x, "*")), cmp.Compare(len(x), len(y)))
		})
	}
	return &all, nil
}

// On is the function that answers an event of a channel (empty for connect), nil if there is none. Of several patterns that fit, the
// longest wins, and a whole name before a pattern of the same length.
func (r *Registry) On(event, channel string) *Function {
	for _, fn := range (*r.events.Load())[event] {
		if start, open := strings.CutSuffix(fn.Options.On.Channels, "*"); channel == start || open && strings.HasPrefix(channel, start) {
			return fn
		}
	}
	return nil
}

// checkEvent is HR9003 for a function that cannot answer the event it was announced for.
func (f *Function) checkEvent() error {
	on := f.Options.On
	if on == nil {
		return nil
	}
	wrong := func(format string, args ...any) error {
		return problem.New("HR9003", format, args...).At("function " + f.Name).Hinting("see spec/frame.md section 11")
	}
	pattern := strings.TrimSuffix(on.Channels, "*")
	switch {
	case on.Event != Connect && on.Event != Subscribe && on.Event != Publish:
		return wrong("%.40q is no event of a live client", on.Event)
	case f.Kind == Job || f.Stream:
		return wrong("a function that answers %s must be a call or a batch and no generator", on.Event)
	case (on.Channels == "") != (on.Event == Connect) || strings.Contains(pattern, "*"):
		return wrong("%.80q is no pattern of channels for %s", on.Channels, on.Event)
	case len(f.takes) != 1 || !f.takes[on.Argument]:
		return wrong("a function that answers %s has one argument, and not %.40q", on.Event, on.Argument)
	}
	return nil
}
