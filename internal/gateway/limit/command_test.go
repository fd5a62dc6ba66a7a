package limit

import (
	"net/netip"
	"testing"

	"github.com/headrace/headrace/internal/config"
)

// Requests of a route and commands of live connections use up one limit, counted by the same keys.
func TestCommandsShareWithRoutes(t *testing.T) {
	here := netip.MustParseAddr("127.0.0.1")
	for by, c := range map[string]struct {
		user         string
		same, others func(*Commands) bool
	}{
		"subject": {"ann", func(c *Commands) bool { return c.Take("ann", "", netip.MustParseAddr("10.0.0.9")) }, func(c *Commands) bool { return c.Take("bob", "", here) }},
		"address": {"ann", func(c *Commands) bool { return c.Take("bob", "", here) }, func(c *Commands) bool { return c.Take("ann", "", netip.MustParseAddr("127.0.0.2")) }},
		"key":     {"ann", func(c *Commands) bool { return c.Take("bob", "", here) }, func(c *Commands) bool { return c.Take("ann", "k1", here) }}, // none of them has one
		"subject+address": {"ann", func(c *Commands) bool { return c.Take("ann", "", here) },
			func(c *Commands) bool { return c.Take("ann", "", netip.MustParseAddr("127.0.0.2")) }},
		"all": {"ann", func(c *Commands) bool { return c.Take("bob", "k1", netip.MustParseAddr("::1")) }, nil},
	} {
		t.Run(by, func(t *testing.T) {
			s, list := newStore(t, 0), []config.Limit{{Name: "calls", Rate: rate(t, "3/h"), By: by}}
			commands, err := s.Commands(list)
			if err != nil {
				t.Fatal(err)
			}
			at := serve(t, s, list)
			for range 2 {
				if g := ask(t, "GET", at, "X-User", c.user); g.status != 200 {
					t.Fatal(g)
				}
			}
			if !c.same(commands) || c.same(commands) {
				t.Error("of three, two were requests: one command may follow")
			}
			if g := ask(t, "GET", at, "X-User", c.user); g.status != 429 {
				t.Error(g)
			}
			if c.others != nil && !c.others(commands) {
				t.Error("somebody else is refused")
			}
		})
	}
}

// A command that one limit refuses is not counted by the others.
func TestCommandsGiveBack(t *testing.T) {
	s := newStore(t, 0)
	c, err := s.Commands([]config.Limit{{Rate: rate(t, "3/h"), By: "all"}, {Rate: rate(t, "1/h"), By: "subject"}})
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	for _, user := range []string{"ann", "ann", "ann", "ann", "bob", "cid", "dan"} {
		if c.Take(user, "", netip.MustParseAddr("::1")) {
			passed++
		}
	}
	if passed != 3 {
		t.Error(passed, "passed")
	}
	if _, err := s.Commands(make([]config.Limit, most+1)); err == nil {
		t.Error("there are more limits than may be")
	}
}

func TestCommandsAllocateNothing(t *testing.T) {
	c, err := newStore(t, 0).Commands([]config.Limit{{Rate: rate(t, "1000000/s"), By: "subject"}, {Rate: rate(t, "1/h"), By: "key+address"}})
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddr("2001:db8::1")
	if n := testing.AllocsPerRun(1000, func() { c.Take("ann", "k1", client) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkCommands(b *testing.B) {
	c, err := newStore(b, 0).Commands([]config.Limit{{Rate: rate(b, "1000000000/s"), By: "subject"}})
	if err != nil {
		b.Fatal(err)
	}
	client := netip.MustParseAddr("10.0.0.1")
	b.ReportAllocs()
	for b.Loop() {
		c.Take("ann", "k1", client)
	}
}
